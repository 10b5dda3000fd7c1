import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WriteRegions } from '../../lib/datapath/writeRegions.ts';
import { MiB } from '../../lib/model/index.ts';
import { Page } from '../../lib/repository/index.ts';

const PAGE_BLOCKS = 32;
const pack = { sequence: 1, disk: 0, shard: 0, attempt: 1, number: 0 };

/** Blocks of a page, in an order in which packs may bring them, and how many regions may be begun. */
const pages = fc.record({
  present: fc.uniqueArray(fc.integer({ min: 0, max: PAGE_BLOCKS - 1 }), { maxLength: PAGE_BLOCKS }),
  most: fc.integer({ min: 0, max: 4 }),
  page: fc.integer({ min: 0, max: 2 }),
  short: fc.integer({ min: 0, max: MiB / 512 - 1 }),
  blockBytes: fc.constantFrom(MiB, 2 * MiB),
});

describe('regions of a disk that is written', () => {
  test('every block goes to its place once, whatever the order; what is absent is not written', () => {
    let together = 0;
    let alone = 0;
    fc.assert(
      fc.property(pages, ({ present, most, page, short, blockBytes }) => {
        const content = new Page(PAGE_BLOCKS);
        for (const block of present) content.set(block, { pack, ordinal: block });
        const first = page * PAGE_BLOCKS;
        const sizeBytes = (first + PAGE_BLOCKS) * blockBytes - short * 512;
        const shape = { sizeBytes, blockBytes, pageBlocks: PAGE_BLOCKS };
        const pool: Buffer[] = [];
        const regions = new WriteRegions(shape, page, content, { most, pool });
        const written = new Map<number, number>();
        for (const place of present) {
          const block = first + place;
          const room = regions.room(block);
          expect(regions.room(block)?.byteOffset).toBe(room?.byteOffset);
          const bytes = room ?? Buffer.allocUnsafe(blockBytes);
          bytes.writeUInt32LE(block, 0);
          for (const write of regions.take({ block: block as never, bytes })) {
            if (write.bytes.length > blockBytes) together++;
            else alone++;
            expect(write.offset + write.bytes.length).toBeLessThanOrEqual(sizeBytes);
            for (let at = 0; at < write.bytes.length; at += blockBytes) {
              const there = (write.offset + at) / blockBytes;
              expect(write.bytes.readUInt32LE(at)).toBe(there);
              expect(written.has(there)).toBe(false);
              written.set(there, Math.min(blockBytes, write.bytes.length - at));
            }
            write.done();
          }
        }
        const expected = new Map(
          present.map((place) => {
            const block = first + place;
            return [block, Math.min(blockBytes, sizeBytes - block * blockBytes)] as const;
          }),
        );
        expect(new Map([...written].sort((a, b) => a[0] - b[0]))).toEqual(
          new Map([...expected].sort((a, b) => a[0] - b[0])),
        );
        expect(new Set(pool).size).toBe(pool.length);
        expect(pool.length).toBeLessThanOrEqual(most);
      }),
      { numRuns: 60 },
    );
    expect(together).toBeGreaterThan(0);
    expect(alone).toBeGreaterThan(0);
  });
});
