import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRepository, removePoint } from '../../lib/repository/index.ts';
import { Lab } from './lab.ts';
import { ModelDisk, SECTOR } from './modelDisk.ts';

const NOW = new Date('2026-11-22T00:00:00Z');

/** What is wrong: damage that the checker finds, and points that the lab remembers and that do not restore byte for byte. */
async function faults(lab: Lab): Promise<string[]> {
  const { findings, points } = await checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content' });
  const found = findings.map(({ object, problem }) => `${object}: ${problem}`);
  if (points !== lab.truth.size) found.push(`${points} points instead of ${lab.truth.size}`);
  for (const sequence of lab.truth.keys()) {
    await lab.mustRestore(sequence).catch((error: unknown) => found.push(String(error)));
  }
  return found;
}

describe('full and incremental', () => {
  test('a full reads what is allocated, an incremental what changed and the samples', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 24_000);
    disk.write(0, 100, 3);
    disk.write(20_000, 700, 4);
    const full = await lab.backup([disk]);
    expect(full.point.restorePoint).toMatchObject({ kind: 'full', disks: [{ readReason: 'first' }] });
    expect(full.plans[0]?.allocatedBytes).toBe(800 * SECTOR);
    expect(full.sources[0]?.bytesRead).toBe((104 + 704) * SECTOR);
    disk.write(50, 3, 9);
    const incremental = await lab.backup([disk]);
    expect(incremental.point.restorePoint).toMatchObject({
      kind: 'incremental',
      disks: [{ readReason: 'changedBlocks' }],
    });
    const { plannedBytes, sampledBytes } = incremental.plans[0] ?? { plannedBytes: 0, sampledBytes: 0 };
    expect(plannedBytes).toBe(8 * SECTOR);
    expect(sampledBytes).toBe(10 * 8 * SECTOR);
    expect(incremental.sources[0]?.bytesRead).toBe(plannedBytes + sampledBytes);
    expect(incremental.point.restorePoint.disks[0]?.readBytes).toBe(plannedBytes + sampledBytes);
    expect(await faults(lab)).toEqual([]);
  });

  test('zeros are neither stored nor written back', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 8000);
    disk.write(0, 8000, 0);
    disk.write(4000, 8, 5);
    const { moves, point } = await lab.backup([disk]);
    expect(moves.reduce((sum, { blocksStored }) => sum + blocksStored, 0)).toBe(1);
    expect(point.restorePoint.disks[0]?.allocatedBytes).toBe(4096);
    const sink = await lab.restore(1, 0);
    expect(sink.writes).toEqual([{ offset: 4000 * SECTOR, length: 4096 }]);
    expect(await faults(lab)).toEqual([]);
  });

  test('nothing changed: the new point shares the whole block map and stores nothing', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 4000);
    disk.write(0, 400, 3);
    const first = await lab.backup([disk]);
    const second = await lab.backup([disk]);
    expect(second.plans[0]?.shards).toEqual([]);
    expect(second.point.manifest.disks[0]?.tree).toEqual(first.point.manifest.disks[0]?.tree);
    expect(second.point.restorePoint.disks[0]?.storedBytes).toBe(0);
    expect(await faults(lab)).toEqual([]);
  });

  test('a block that is cleared wholly becomes absent, one that is cleared partly is read', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 4000);
    disk.write(0, 64, 3);
    await lab.backup([disk]);
    disk.discard(8, 12);
    const { plans, point } = await lab.backup([disk]);
    expect(plans[0]?.plannedBytes).toBe(8 * SECTOR);
    expect(point.restorePoint.disks[0]?.allocatedBytes).toBe(7 * 4096);
    expect(await faults(lab)).toEqual([]);
  });

  test('a whole read recognises equal blocks by their digests, and drops what is not allocated', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 4000);
    disk.write(0, 640, 3);
    await lab.backup([disk]);
    disk.write(8, 8, 4);
    disk.discard(320, 320);
    const { moves, plans, point } = await lab.backup([disk], { reason: 'scheduled' });
    expect(plans[0]).toMatchObject({
      readReason: 'scheduled',
      plannedBytes: 320 * SECTOR,
      allocatedBytes: 320 * SECTOR,
    });
    const sum = (pick: (move: (typeof moves)[number]) => number) =>
      moves.reduce((total, move) => total + pick(move), 0);
    expect([sum((m) => m.blocksReused), sum((m) => m.blocksStored)]).toEqual([39, 1]);
    expect(point.restorePoint).toMatchObject({ kind: 'incremental', disks: [{ allocatedBytes: 40 * 4096 }] });
    expect(await faults(lab)).toEqual([]);
  });

  test('a disk that grew keeps its blocks, and what was added is read', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 2003);
    disk.write(1990, 13, 3);
    await lab.backup([disk]);
    disk.grow(3001);
    disk.write(2003, 2, 5);
    disk.write(5000, 4, 6);
    const { plans } = await lab.backup([disk]);
    expect(plans[0]?.readReason).toBe('changedBlocks');
    expect(await faults(lab)).toEqual([]);
  });

  test('a disk that shrank is read whole', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 3000);
    disk.write(0, 500, 3);
    await lab.backup([disk]);
    const smaller = new ModelDisk('os', 2000);
    smaller.write(0, 500, 3);
    const { plans } = await lab.backup([smaller]);
    expect(plans[0]?.readReason).toBe('reset');
    expect(await faults(lab)).toEqual([]);
  });

  test('disks come and go; a number belongs to its disk for ever', async () => {
    const lab = await Lab.start();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => new ModelDisk(id, 1000));
    if (!a || !b || !c) throw new Error('no disks');
    for (const disk of [a, b, c]) disk.write(0, 100, 3);
    const numbers = async (disks: ModelDisk[]) =>
      (await lab.backup(disks)).point.manifest.disks.map(({ uniqueId, number }) => `${uniqueId}${number}`);
    expect(await numbers([a, b])).toEqual(['a0', 'b1']);
    expect(await numbers([a])).toEqual(['a0']);
    expect(await numbers([a, c])).toEqual(['a0', 'c2']);
    b.write(10, 10, 9);
    expect(await numbers([c, b, a])).toEqual(['c2', 'b1', 'a0']);
    expect(await faults(lab)).toEqual([]);
  });

  test('without encryption everything works the same, by checksums', async () => {
    const lab = await Lab.start({ unlock: { mode: 'none' } });
    const disk = new ModelDisk('os', 3000);
    disk.write(0, 900, 3);
    await lab.backup([disk]);
    disk.write(5, 5, 4);
    await lab.backup([disk]);
    expect(await faults(lab)).toEqual([]);
  });
});

describe('changed block tracking is a hint', () => {
  test('a difference that the service refuses leads to a whole read, and its code is kept', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 3000);
    disk.write(0, 900, 3);
    await lab.backup([disk]);
    disk.write(5, 5, 4);
    const { point, moves } = await lab.backup([disk], { refuseDiff: 'BlobGenerationMismatch' });
    expect(point.restorePoint.disks[0]?.readReason).toBe('diffFailed:BlobGenerationMismatch');
    expect(moves.reduce((sum, { blocksReused }) => sum + blocksReused, 0)).toBe(111);
    expect(await faults(lab)).toEqual([]);
  });

  test('a block at the start of the disk that changed in secret is caught, and the disk is read whole', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 3000);
    disk.write(0, 900, 3);
    await lab.backup([disk]);
    disk.corruptSilently(4096 * 4 + 7);
    const { plans } = await lab.backup([disk]);
    expect(plans[0]?.readReason).toBe('sampleMismatch');
    expect(plans[0]?.sampledBytes).toBeGreaterThan(0);
    expect(await faults(lab)).toEqual([]);
  });

  test('a block in the middle that changed in secret is caught when it is drawn', async () => {
    const drawn = async (random: number) => {
      const lab = await Lab.start();
      const disk = new ModelDisk('os', 8 * 200);
      disk.write(0, 8 * 100, 3);
      await lab.backup([disk]);
      disk.corruptSilently(4096 * 60);
      const { plans } = await lab.backup([disk], { random: () => random });
      return plans[0]?.readReason;
    };
    expect(await drawn(0.6)).toBe('sampleMismatch');
    expect(await drawn(0.9)).toBe('changedBlocks');
  });

  test('data in a place where the parent has nothing is caught at the start of the disk', async () => {
    const lab = await Lab.start();
    const disk = new ModelDisk('os', 1600);
    disk.write(800, 80, 3);
    await lab.backup([disk]);
    disk.corruptSilently(3);
    const { plans } = await lab.backup([disk]);
    expect(plans[0]?.readReason).toBe('sampleMismatch');
  });
});

const step = fc.oneof(
  fc.record({
    do: fc.constant('write' as const),
    at: fc.nat(2999),
    count: fc.integer({ min: 1, max: 300 }),
    seed: fc.integer({ min: 0, max: 5 }),
  }),
  fc.record({
    do: fc.constant('discard' as const),
    at: fc.nat(2999),
    count: fc.integer({ min: 1, max: 400 }),
  }),
  fc.record({ do: fc.constant('grow' as const), count: fc.integer({ min: 1, max: 600 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function apply(disk: ModelDisk, change: Step): void {
  if (change.do === 'grow') return disk.grow(change.count);
  const count = Math.min(change.count, disk.sectors - change.at);
  if (change.do === 'write') disk.write(change.at, count, change.seed);
  else disk.discard(change.at, count);
}

const reasons = fc.constantFrom(
  'changedBlocks' as const,
  'changedBlocks' as const,
  'changedBlocks' as const,
  'scheduled' as const,
);

test('any history restores point by point, and removing any point leaves the others byte-identical', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ changes: fc.array(step, { maxLength: 4 }), reason: reasons }), {
        minLength: 2,
        maxLength: 5,
      }),
      fc.constantFrom(4096, 16384),
      fc.nat(),
      async (history, blockBytes, choice) => {
        const lab = await Lab.start({ blockBytes, shardBytes: 200 * 1024 });
        const disks = [new ModelDisk('os', 3000), new ModelDisk('data', 3000)];
        for (const { changes, reason } of history) {
          changes.forEach((change, i) => apply(disks[i % 2] as ModelDisk, change));
          await lab.backup(disks, { reason });
        }
        expect(await faults(lab)).toEqual([]);
        const removed = 1 + (choice % history.length);
        await removePoint(lab.chain, { sequence: removed, by: 'test', now: NOW });
        lab.truth.delete(removed);
        expect(await faults(lab)).toEqual([]);
        // The next backup builds on the newest point that is left.
        disks.forEach((disk) => disk.write(17, 9, 11));
        await lab.backup(disks);
        expect(await faults(lab)).toEqual([]);
      },
    ),
    { numRuns: 25 },
  );
}, 120_000);
