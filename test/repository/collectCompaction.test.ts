import { randomFillSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '../../lib/model/index.ts';
import {
  type BlobStore,
  chainStatistics,
  compact,
  openPoint,
  planCompaction,
} from '../../lib/repository/index.ts';
import { parsePackName } from '../../lib/repository/names.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { CollectLab, HOUR, OWNER } from './collectLab.ts';

/** Point 1 is removed and collected; of its pack, point 2 needs a tenth. */
async function sparse(): Promise<{ lab: CollectLab; disk: ModelDisk }> {
  const lab = await CollectLab.start();
  const disk = new ModelDisk('os', 2600);
  disk.write(0, 800, 3);
  await lab.lab.backup([disk]);
  disk.write(0, 720, 5);
  await lab.lab.backup([disk]);
  await lab.remove(1);
  lab.time.advance(25 * HOUR);
  return { lab, disk };
}

const generations = async (lab: CollectLab, sequence: number): Promise<number[]> =>
  (await lab.names('data', `/packs/${String(sequence).padStart(8, '0')}-`))
    .map((name) => parsePackName(name)?.generation ?? -1)
    .sort((a, b) => a - b);

describe('compaction', () => {
  test('a pack of which less than half is needed gets a next generation, and the one before goes a day later', async () => {
    const { lab } = await sparse();
    const { total, done, packs } = await lab.compact();
    expect(packs).toMatchObject([{ from: 0, to: 1, keptBlocks: 10 }]);
    expect(done).toMatchObject({ compacted: 1, left: 0, damage: [], next: null });
    expect(done.writtenBytes).toBeLessThanOrEqual(total.bytesAfter);
    expect(total.bytesAfter * 2).toBeLessThan(total.bytesBefore);
    expect(await generations(lab, 1)).toEqual([0, 1]);
    await lab.mustHold();
    lab.time.advance(24 * HOUR - 1000);
    await lab.collect();
    expect(await generations(lab, 1)).toEqual([0, 1]);
    lab.time.advance(1000);
    await lab.collect();
    expect(await generations(lab, 1)).toEqual([1]);
    await lab.mustHold();
    expect(await lab.check()).toMatchObject({ findings: [], garbage: [] });
    expect((await lab.compact()).packs).toEqual([]);
  });

  test('packs of which half is needed, small waste, undecided numbers and skipped packs stay as they are', async () => {
    const { lab, disk } = await sparse();
    const bytes = (await planCompaction(lab.chain, { minWasteBytes: 1 })).packs[0];
    expect((await planCompaction(lab.chain, { minWasteBytes: (bytes?.bytesBefore ?? 0) + 1 })).packs).toEqual(
      [],
    );
    expect((await planCompaction(lab.chain, { minWasteBytes: 1, skip: () => true })).packs).toEqual([]);
    disk.write(2000, 300, 4);
    await lab.lab.prepare([disk]);
    const names = (await planCompaction(lab.chain, { minWasteBytes: 1 })).packs.map(({ pack }) => pack);
    expect(names.map((name) => parsePackName(name)?.id.sequence)).toEqual([1]);
  });

  test('generation follows generation, and a reader that knows an old one finds the newest', async () => {
    const { lab, disk } = await sparse();
    const { manifest } = await openPoint(lab.chain, 2);
    const open = await (await openPoint(lab.chain, manifest)).disk(0);
    const whole = async () => {
      const content = Buffer.alloc(open.disk.sizeBytes);
      for await (const run of open.blocks())
        for (const { block, bytes } of run) bytes.copy(content, block * lab.chain.blockBytes);
      return content;
    };
    const { content } = lab.snapshotOf(2, disk);
    expect((await whole()).equals(content)).toBe(true);
    await lab.compact();
    lab.time.advance(25 * HOUR);
    await lab.collect();
    expect((await whole()).equals(content)).toBe(true);

    disk.write(728, 72, 6);
    await lab.lab.backup([disk]);
    await lab.remove(2);
    const lastReader = await (await openPoint(lab.chain, 3)).disk(0);
    lab.time.advance(25 * HOUR);
    await lab.collect();
    await lab.compact();
    expect(await generations(lab, 1)).toEqual([1, 2]);
    lab.time.advance(25 * HOUR);
    await lab.collect();
    expect(await generations(lab, 1)).toEqual([2]);
    let blocks = 0;
    for await (const run of lastReader.blocks()) blocks += run.length;
    expect(blocks).toBe(100);
    await lab.mustHold();
    expect(await lab.check()).toMatchObject({ findings: [], garbage: [] });
  });

  test('who may read and not list finds the generation too', async () => {
    const { lab } = await sparse();
    await lab.compact();
    lab.time.advance(25 * HOUR);
    await lab.collect();
    let refused = 0;
    lab.lab.data.list = (prefix) => {
      refused++;
      throw new HoldfastError('accessDenied', 'may not list', { target: prefix });
    };
    await lab.mustHold();
    expect(refused).toBeGreaterThan(0);
  });

  test('of two that compact one pack, one writes; who comes late does no harm', async () => {
    const { lab } = await sparse();
    const plan = await planCompaction(lab.chain, { minWasteBytes: 1 });
    const done = await Promise.all([1, 2].map(() => compact(lab.chain, plan, { installation: OWNER })));
    expect(done.map(({ compacted, left }) => compacted + left)).toEqual([1, 1]);
    expect(done.reduce((sum, { compacted }) => sum + compacted, 0)).toBe(1);
    lab.time.advance(25 * HOUR);
    await lab.collect();
    await expect(compact(lab.chain, plan, { installation: OWNER })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await generations(lab, 1)).toEqual([1]);
    await lab.mustHold();
  });

  test('a damaged block stops the compaction of its pack, and the pack stays', async () => {
    const { lab } = await sparse();
    const [name = ''] = await lab.names('data', '/packs/00000001-');
    await flip(lab.lab.data, name, -2000);
    const before = await generations(lab, 1);
    for (let offset = 100; offset < 20000; offset += 500) await flip(lab.lab.data, name, offset);
    const { done } = await lab.compact();
    expect(done.compacted + done.damage.length).toBe(1);
    expect(done.damage.map(({ object }) => object)).toEqual([name]);
    expect(await generations(lab, 1)).toEqual(before);
  });

  test('a generation that lacks a block, or is damaged, replaces nothing and is named', async () => {
    for (const harm of ['lacks', 'damaged'] as const) {
      const { lab } = await sparse();
      const plan = await planCompaction(lab.chain, { minWasteBytes: 1 });
      const packs = plan.packs.map((pack) => ({ ...pack, kept: harm === 'lacks' ? '' : pack.kept }));
      await compact(lab.chain, { ...plan, packs }, { installation: OWNER });
      const [generation = ''] = await lab.names('data', '.g1.pack');
      if (harm === 'damaged') await flip(lab.lab.data, generation, -30);
      lab.time.advance(25 * HOUR);
      const { damage } = await lab.collect();
      expect(damage.map(({ object }) => object)).toEqual([generation]);
      expect(await generations(lab, 1)).toEqual([0, 1]);
      await lab.mustHold();
    }
  });
});

async function flip(store: BlobStore, name: string, offset: number): Promise<void> {
  const { bytes, etag } = await store.read(name);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await store.replace(name, bytes, etag);
}

/** Writes what does not shrink: each block is stored raw. */
function noise(disk: ModelDisk, first: number, count: number): void {
  disk.write(first, count, 1);
  randomFillSync(disk.content, first * 512, count * 512);
}

describe('statistics', () => {
  test('live, dead, shared and exclusive bytes are those that a count by hand gives', async () => {
    const lab = await CollectLab.start();
    const disk = new ModelDisk('os', 4200);
    noise(disk, 0, 800);
    noise(disk, 2400, 80);
    await lab.lab.backup([disk]);
    noise(disk, 0, 80);
    await lab.lab.backup([disk]);
    noise(disk, 2400, 80);
    await lab.lab.backup([disk]);
    await lab.remove(1);
    const blockBytes = 4096 + 16;
    const young = await chainStatistics(lab.chain);
    expect(young).toMatchObject({
      points: [
        { sequence: 2, exclusiveBlocks: 0, exclusiveBytes: 0 },
        { sequence: 3, exclusiveBlocks: 10, exclusiveBytes: 10 * blockBytes },
      ],
      voids: 1,
      liveBytes: (110 + 10 + 10) * blockBytes,
      sharedBytes: (90 + 10) * blockBytes,
      retainedBytes: 10 * blockBytes,
      deadBytes: 0,
      undecidedBytes: 0,
      packs: { count: 3, dead: 0 },
    });
    lab.time.advance(25 * HOUR);
    expect(await chainStatistics(lab.chain)).toMatchObject({
      points: [
        { sequence: 2, exclusiveBlocks: 10, exclusiveBytes: 10 * blockBytes },
        { sequence: 3, exclusiveBlocks: 10, exclusiveBytes: 10 * blockBytes },
      ],
      liveBytes: 120 * blockBytes,
      sharedBytes: 100 * blockBytes,
      retainedBytes: 0,
      deadBytes: 10 * blockBytes,
    });
    const { packs, mapBytes, treeBytes } = await chainStatistics(lab.chain);
    const sizes = async (store: 'meta' | 'data', part: string) => {
      let bytes = 0;
      for await (const { name, size } of lab.lab[store].list('')) if (name.includes(part)) bytes += size;
      return bytes;
    };
    expect([packs.bytes, mapBytes, treeBytes]).toEqual([
      await sizes('data', '/packs/'),
      await sizes('data', '.map'),
      await sizes('meta', '.tree'),
    ]);
  });

  test('what removing a point would free is what collection and compaction then free', async () => {
    const { lab } = await sparse();
    await lab.collect();
    const before = await chainStatistics(lab.chain);
    expect(before.deadBytes).toBeGreaterThan(0);
    await lab.compact();
    lab.time.advance(25 * HOUR);
    await lab.collect();
    const after = await chainStatistics(lab.chain);
    expect(after.deadBytes).toBe(0);
    expect(after.liveBytes).toBe(before.liveBytes);
    expect(before.packs.bytes - after.packs.bytes).toBeGreaterThan(before.deadBytes * 0.9);
  });
});
