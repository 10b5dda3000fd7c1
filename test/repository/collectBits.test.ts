import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockBits } from '../../lib/repository/collect/bitColumns.ts';

test('the bits of packs are those of a set of (pack, ordinal)', () => {
  const pack = fc.record({
    sequence: fc.integer({ min: 1, max: 2 }),
    disk: fc.integer({ min: 0, max: 1 }),
    shard: fc.integer({ min: 0, max: 2 }),
    attempt: fc.constant(1),
    number: fc.integer({ min: 0, max: 9 }),
  });
  const ordinal = fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: 5000 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(pack, ordinal), { maxLength: 300 }), (adds) => {
      const bits = new BlockBits();
      const model = new Map<string, Set<number>>();
      for (const [id, block] of adds) {
        const key = JSON.stringify(id);
        const known = model.get(key) ?? new Set();
        expect(bits.add(id, block)).toBe(!known.has(block));
        model.set(key, known.add(block));
      }
      expect([...bits.packs()].map((id) => JSON.stringify(id)).toSorted()).toEqual(
        [...model.keys()].toSorted(),
      );
      for (const [id, block] of adds) {
        const known = model.get(JSON.stringify(id)) ?? new Set();
        expect(bits.count(id)).toBe(known.size);
        expect([block, block + 1, block + 4000].map((one) => bits.has(id, one))).toEqual(
          [block, block + 1, block + 4000].map((one) => known.has(one)),
        );
        const bytes = bits.bytes(id);
        const set = Array.from({ length: bytes.length * 8 }, (_, i) => i).filter(
          (i) => (bytes[i >> 3] ?? 0) & (1 << (i & 7)),
        );
        expect(set).toEqual([...known].toSorted((a, b) => a - b));
      }
    }),
  );
});

test('marking takes at most 16 bytes a pack and 4 bits a block', () => {
  const bits = new BlockBits();
  const before = process.memoryUsage().arrayBuffers;
  // A sixteenth of 32 TiB that do not shrink: 2 TiB in 1,024 shards, packs of 32 blocks.
  const [shards, packs, blocks] = [1024, 128, 32];
  for (let shard = 0; shard < shards; shard++) {
    for (let number = 0; number < packs; number++) {
      const pack = { sequence: 1, disk: 0, shard, attempt: 1, number };
      for (let ordinal = 0; ordinal < blocks; ordinal++) bits.add(pack, ordinal);
    }
  }
  const used = process.memoryUsage().arrayBuffers - before;
  // What was outgrown may not be collected yet: as much again.
  expect(used).toBeLessThan(2 * (16 * shards * packs + (shards * packs * blocks) / 2));
  expect(bits.count({ sequence: 1, disk: 0, shard: 7, attempt: 1, number: 9 })).toBe(blocks);
});
