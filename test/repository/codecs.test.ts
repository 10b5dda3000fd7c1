import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compressBlock, expandBlock } from '../../lib/repository/blockCodec.ts';
import {
  ByteReader,
  ByteWriter,
  decodeRefs,
  encodeRefs,
  KIND,
  MemoryBlobStore,
  openWhole,
  type PackId,
  Page,
  RecordReader,
  RecordWriter,
  type Ref,
  sealWhole,
} from '../../lib/repository/index.ts';
import { deriveKeys } from '../../lib/repository/keys.ts';
import { PackIndex } from '../../lib/repository/packIndex.ts';

const pack: fc.Arbitrary<PackId> = fc.record({
  sequence: fc.integer({ min: 1, max: 99_999_999 }),
  disk: fc.nat(63),
  shard: fc.nat(5000),
  attempt: fc.integer({ min: 1, max: 9 }),
  number: fc.nat(999_999),
});
const sameOf = (page: Page) => Array.from({ length: page.blocks }, (_, block) => page.get(block));

describe('numbers', () => {
  test('any integer up to 2^53 - 1 survives, signed or not', () => {
    fc.assert(
      fc.property(
        fc.array(fc.maxSafeNat()),
        fc.array(fc.integer({ min: -(2 ** 52) + 1, max: 2 ** 52 - 1 })),
        (naturals, integers) => {
          const writer = new ByteWriter(1);
          for (const value of naturals) writer.varint(value);
          for (const value of integers) writer.signed(value);
          const reader = new ByteReader(writer.done());
          expect(naturals.map(() => reader.varint())).toEqual(naturals);
          expect(integers.map(() => reader.signed())).toEqual(integers);
          reader.end();
        },
      ),
    );
  });

  test('what ends early or is too large is refused', () => {
    expect(() => new ByteReader(Buffer.from([0x80])).varint()).toThrow(RangeError);
    expect(() => new ByteReader(Buffer.alloc(9, 0xff)).varint()).toThrow(RangeError);
    expect(() => new ByteReader(Buffer.alloc(3)).bytes(4)).toThrow(RangeError);
    expect(() => new ByteReader(Buffer.alloc(3)).end()).toThrow(RangeError);
  });
});

describe('pages', () => {
  test('any page decodes to what was set, and its bytes depend on its content only', () => {
    const places = fc.array(
      fc.record({ block: fc.nat(255), pack: fc.nat(9), ordinal: fc.nat(100_000), clear: fc.boolean() }),
      { maxLength: 400 },
    );
    fc.assert(
      fc.property(fc.array(pack, { minLength: 10, maxLength: 10 }), places, (packs, steps) => {
        const page = new Page(256);
        const model = new Map<number, { pack: PackId; ordinal: number }>();
        for (const { block, pack: which, ordinal, clear } of steps) {
          const id = packs[which];
          if (!id) continue;
          if (clear) {
            page.clear(block);
            model.delete(block);
          } else {
            page.set(block, { pack: id, ordinal });
            model.set(block, { pack: id, ordinal });
          }
        }
        const again = Page.decode(page.encode(), 256);
        expect(again.present).toBe(model.size);
        expect(sameOf(again)).toEqual(Array.from({ length: 256 }, (_, block) => model.get(block) ?? null));
        const fresh = new Page(256);
        for (const [block, ref] of model) fresh.set(block, ref);
        expect(fresh.encode()).toEqual(page.encode());
      }),
    );
  });

  test('a block costs at most three bytes where packs follow the disk', () => {
    const page = new Page(256);
    for (let block = 0; block < 256; block++) {
      const id = { sequence: 7, disk: 0, shard: 3, attempt: 1, number: Math.floor(block / 40) };
      page.set(block, { pack: id, ordinal: block % 40 });
    }
    expect(page.encode().length).toBeLessThan(256);
    const scattered = new Page(256);
    for (let block = 0; block < 256; block++) {
      const id = {
        sequence: 1 + (block % 9),
        disk: 0,
        shard: block % 5,
        attempt: 1,
        number: (block * 7) % 31,
      };
      scattered.set(block, { pack: id, ordinal: (block * 37) % 50 });
    }
    expect(scattered.encode().length).toBeLessThan(256 * 5);
  });

  test('other bytes are refused, never read as a page', () => {
    const page = new Page(256);
    page.set(3, { pack: { sequence: 1, disk: 0, shard: 0, attempt: 1, number: 0 }, ordinal: 5 });
    const bytes = page.encode();
    expect(() => Page.decode(bytes.subarray(0, bytes.length - 1), 256)).toThrow(Error);
    expect(() => Page.decode(bytes, 512)).toThrow(RangeError);
    expect(() => Page.decode(randomBytes(40), 256)).toThrow(Error);
  });
});

test('any references decode to what was encoded', () => {
  const ref: fc.Arbitrary<Ref> = fc.record({
    object: pack.map(({ sequence, disk, shard, attempt }) => ({ sequence, disk, shard, attempt })),
    record: fc.nat(1_000_000),
    present: fc.nat(65_536),
  });
  fc.assert(
    fc.property(fc.array(fc.option(ref), { maxLength: 300 }), (refs) => {
      expect(decodeRefs(encodeRefs(refs), refs.length)).toEqual(refs);
    }),
  );
});

test('any pack index decodes to what was encoded', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1_048_576), fc.constantFrom(0, 1))), (rows) => {
      const digests = randomBytes(rows.length * 24);
      const index = new PackIndex(
        Uint32Array.from(rows.map(([length]) => length)),
        Uint8Array.from(rows.map(([, codec]) => codec)),
        digests,
      );
      const again = PackIndex.decode(index.encode());
      expect(again.encode()).toEqual(index.encode());
      rows.forEach(([length, codec], i) => {
        expect(again.extent(i)).toEqual(index.extent(i));
        expect([again.lengths[i], again.codecs[i]]).toEqual([length, codec]);
        expect(again.digest(i).equals(digests.subarray(i * 24, i * 24 + 24))).toBe(true);
      });
    }),
  );
});

test('a pack index and its copy take at most 64 bytes a block together', () => {
  const blocks = 1000;
  const lengths = Uint32Array.from({ length: blocks }, (_, i) => 100_000 + i * 300);
  const index = new PackIndex(lengths, new Uint8Array(blocks).fill(1), randomBytes(blocks * 24));
  expect(2 * index.encode().length).toBeLessThanOrEqual(60 * blocks);
});

describe('blocks', () => {
  test('what does not shrink is stored raw', () => {
    const noise = randomBytes(65536);
    expect(compressBlock(noise)).toEqual({ codec: 0, stored: noise });
    const text = Buffer.alloc(65536, 'holdfast ');
    const { codec, stored } = compressBlock(text);
    expect(codec).toBe(1);
    expect(expandBlock(codec, stored, text.length).equals(text)).toBe(true);
  });

  test('a block that expands to another length is refused, and a bomb is not expanded', () => {
    const { codec, stored } = compressBlock(Buffer.alloc(1024 * 1024));
    expect(() => expandBlock(codec, stored, 4096)).toThrow(RangeError);
    expect(() => expandBlock(codec, stored, 2 * 1024 * 1024)).toThrow(RangeError);
    expect(() => expandBlock(7, stored, 4096)).toThrow(RangeError);
  });
});

describe.each(['encrypted', 'none'] as const)('sealed objects, mode %s', (mode) => {
  const keys = deriveKeys(
    mode === 'none' ? null : Buffer.alloc(32, 7),
    '00000000-0000-4000-8000-00000000000a',
  );
  const binding = { kind: KIND.manifest, chain: 'c', name: 'chains/c/points/00000001.manifest' };

  test('an object opens only as what it was sealed as', () => {
    const { bytes } = sealWhole(keys.meta, binding, Buffer.from('secret text'));
    expect(openWhole(keys.meta, binding, bytes).toString()).toBe('secret text');
    for (const other of [
      { ...binding, chain: 'd' },
      { ...binding, name: 'x' },
      { ...binding, kind: KIND.claim },
    ]) {
      expect(() => openWhole(keys.meta, other, bytes)).toThrow(
        expect.objectContaining({ code: 'corruptObject', target: other.name }),
      );
    }
    expect(bytes.includes('secret text')).toBe(mode === 'none');
  });

  test('the same content is sealed to other bytes each time', () => {
    const [one, other] = [1, 2].map(() => sealWhole(keys.meta, binding, Buffer.from('same')));
    expect(one?.bytes.equals(other?.bytes ?? Buffer.alloc(0))).toBe(false);
    expect(one?.tag).not.toBe(other?.tag);
  });

  test('records read back in any order, from small and large objects', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(4000), { maxLength: 30 }),
        fc.nat(200_000),
        async (lengths, payloadBytes) => {
          const store = new MemoryBlobStore();
          const bound = { kind: KIND.map, chain: 'c', name: 'm' };
          const writer = new RecordWriter(keys.meta, bound, Buffer.alloc(64));
          const records = lengths.map((length) => randomBytes(length));
          for (const record of records)
            expect(writer.reopen(writer.append(record)).equals(record)).toBe(true);
          const payload = randomBytes(payloadBytes);
          const { bytes, tag } = writer.finish(payload);
          await store.create('m', bytes);
          const reader = await RecordReader.open(store, keys.meta, bound);
          expect([reader.tag, reader.records, reader.payload.equals(payload)]).toEqual([
            tag,
            lengths.length,
            true,
          ]);
          for (let i = records.length - 1; i >= 0; i--) {
            expect((await reader.record(i)).equals(records[i] ?? Buffer.alloc(0))).toBe(true);
          }
          await expect(reader.record(records.length)).rejects.toMatchObject({ code: 'corruptObject' });
        },
      ),
      { numRuns: 30 },
    );
  });

  test('an object of the other mode is refused', () => {
    const other = deriveKeys(
      mode === 'none' ? Buffer.alloc(32, 7) : null,
      '00000000-0000-4000-8000-00000000000a',
    );
    const { bytes } = sealWhole(other.meta, binding, Buffer.from('x'));
    expect(() => openWhole(keys.meta, binding, bytes)).toThrow(
      expect.objectContaining({ code: 'corruptObject' }),
    );
  });
});
