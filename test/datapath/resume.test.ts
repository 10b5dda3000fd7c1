import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { type DiskSource, type PageLists, runMove, runPlan } from '../../lib/datapath/index.ts';
import { KiB, MiB } from '../../lib/model/index.ts';
import { openPoint } from '../../lib/repository/index.ts';
import { collect, Lab } from './lab.ts';

const BLOCK = 512 * KiB;
const BLOCKS = 700;

/** A disk of noise, whose blocks tell their number. Counts what is read. */
const noise = randomBytes(BLOCK + BLOCKS * 16);

class NumberedDisk implements DiskSource {
  readonly sizeBytes = BLOCKS * BLOCK;
  readBytes = 0;
  failFrom = Infinity;

  read(offset: number, length: number): Promise<Buffer> {
    if (offset >= this.failFrom) return Promise.reject(new Error('the worker died'));
    this.readBytes += length;
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at += BLOCK) NumberedDisk.block((offset + at) / BLOCK).copy(bytes, at);
    return Promise.resolve(bytes);
  }

  static block(number: number): Buffer {
    return noise.subarray(number * 16, number * 16 + BLOCK);
  }
}

test('a shard that was half done is continued: what was stored is neither read nor stored again', async () => {
  const lab = await Lab.start({ blockBytes: BLOCK });
  const disk = new NumberedDisk();
  const lists: PageLists = {
    allocated: ({ offset, length }) => Promise.resolve([{ offset, length }]),
    changed: () => Promise.reject(new Error('not asked')),
  };
  const claim = await lab.claim(lab.nextSession(), null);
  const common = {
    chain: { id: lab.chain.id, blockBytes: BLOCK },
    sequence: claim.sequence,
    disk: 0,
    sizeBytes: disk.sizeBytes,
    snapshotId: 's',
  };
  const plan = await runPlan(
    {
      kind: 'plan',
      ...common,
      baseSnapshotId: null,
      readReason: 'first',
      parentTable: null,
      shardBytes: 1024 * MiB,
    },
    lab.io(1, { source: disk, lists }),
  );
  expect(plan.shards).toHaveLength(1);
  const spec = { kind: 'move' as const, ...common, plan: plan.plan, shard: 0, compare: true };

  let checkpoint: unknown;
  const saveCheckpoint = (state: unknown) => {
    checkpoint = state;
    return Promise.resolve();
  };
  disk.failFrom = 600 * BLOCK;
  await expect(runMove(spec, lab.io(1, { source: disk, saveCheckpoint }))).rejects.toThrow('the worker died');
  expect(checkpoint).toBeDefined();
  expect(JSON.stringify(checkpoint).length).toBeLessThan(8 * KiB);
  const before = (await collect(lab.data.list(''))).length;

  disk.failFrom = Infinity;
  disk.readBytes = 0;
  const result = await runMove(spec, lab.io(2, { source: disk, checkpoint, saveCheckpoint }));
  // At least half of the disk was stored when the checkpoint was kept.
  expect(disk.readBytes).toBeLessThan(disk.sizeBytes / 2);
  expect(result).toMatchObject({ readBytes: disk.sizeBytes, blocksStored: BLOCKS, blocksZero: 0 });
  expect((await collect(lab.data.list(''))).length).toBeGreaterThan(before);

  const { manifest } = await lab.commit({
    claim,
    plans: [plan],
    moves: [result],
    sources: [],
    snapshots: [],
    disks: [
      {
        uniqueId: 'os',
        name: 'os',
        role: 'os',
        lun: null,
        sizeBytes: disk.sizeBytes,
        sectorSize: 512,
        number: 0,
        snapshotId: 's',
        snapshotFamilyId: 'os',
        readReason: plan.readReason,
        sampledBytes: 0,
        shards: [result],
      },
    ],
  });
  const { blocks } = await (await openPoint(lab.chain, manifest.sequence)).disk(0);
  let seen = 0;
  for await (const run of blocks()) {
    for (const { block, bytes } of run) {
      expect(bytes.equals(NumberedDisk.block(block))).toBe(true);
      seen++;
    }
  }
  expect(seen).toBe(BLOCKS);
}, 60_000);
