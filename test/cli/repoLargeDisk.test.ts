import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DiskSource, type PageLists, runMove, runPlan } from '../../lib/datapath/index.ts';
import { type ByteRange, GiB, KiB, MiB } from '../../lib/model/index.ts';
import { commitPoint } from '../../lib/repository/index.ts';
import { CONFIGURATION, Lab } from '../datapath/lab.ts';
import { copyToFolder, offline, temporaryFolder } from './offlineLab.ts';

const SIZE = 64 * GiB;
const BLOCK = 512 * KiB;
/** A block of data in each 128 MiB: 512 blocks, 256 MiB. */
const STEP = 128 * MiB;
const NOW = new Date('2026-11-22T00:00:00Z');

/** 64 GiB with one block of data at each multiple of STEP, made when it is read. */
class SparseDisk implements DiskSource, PageLists {
  readonly sizeBytes = SIZE;
  static at(place: number): number {
    return 1 + ((place / STEP) % 250);
  }
  read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    for (let place = Math.floor(offset / STEP) * STEP; place < offset + length; place += STEP) {
      const [from, to] = [Math.max(0, place - offset), Math.min(length, place + BLOCK - offset)];
      if (to > from) bytes.fill(SparseDisk.at(place), from, to);
    }
    return Promise.resolve(bytes);
  }
  allocated({ offset, length }: ByteRange): Promise<ByteRange[]> {
    const ranges: ByteRange[] = [];
    for (let place = Math.ceil(offset / STEP) * STEP; place < offset + length; place += STEP)
      ranges.push({ offset: place, length: BLOCK });
    return Promise.resolve(ranges);
  }
  changed() {
    return Promise.resolve({ changed: [], cleared: [] });
  }
}

async function backUp(lab: Lab): Promise<void> {
  const disk = new SparseDisk();
  const claim = await lab.claim(lab.nextSession(), null);
  const common = {
    chain: { id: lab.chain.id, blockBytes: BLOCK },
    sequence: claim.sequence,
    disk: 0,
    sizeBytes: SIZE,
    snapshotId: 's',
  };
  const io = lab.io(1, { source: disk, lists: disk });
  const plan = await runPlan(
    {
      kind: 'plan',
      ...common,
      baseSnapshotId: null,
      readReason: 'first',
      parentTable: null,
      shardBytes: 64 * MiB,
    },
    io,
  );
  const shards = [];
  for (const { shard } of plan.shards)
    shards.push(await runMove({ kind: 'move', ...common, plan: plan.plan, shard, compare: true }, io));
  const { readReason, sampledBytes } = plan;
  await commitPoint(lab.chain, {
    claim,
    policyId: null,
    takenAt: NOW,
    now: NOW,
    consistency: 'atomic',
    configuration: CONFIGURATION,
    retention: null,
    disks: [
      {
        uniqueId: 'big',
        name: 'big',
        role: 'os',
        lun: null,
        sizeBytes: SIZE,
        sectorSize: 512,
        number: 0,
        snapshotId: 's',
        snapshotFamilyId: 'f',
        readReason,
        sampledBytes,
        shards,
      },
    ],
  });
}

/** The most memory that the work takes beyond what was there before. */
async function peakOf(work: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 10);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, process.memoryUsage().rss) - before;
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let argv: string[] = [];
beforeAll(async () => {
  folder = await temporaryFolder();
  const lab = await Lab.start({ blockBytes: BLOCK });
  await backUp(lab);
  const repository = await copyToFolder(lab.stores, join(folder.path, 'repository'));
  argv = ['restore-disk', `${lab.chain.id}/1`, '--repository', repository, '--output'];
});
afterAll(() => folder.remove());

test('a 64 GiB disk with 256 MiB of data restores to a sparse file in bounded memory', async () => {
  const file = join(folder.path, 'disk.raw');
  const peak = await peakOf(async () => {
    const { code, err } = await offline([...argv, file]);
    expect({ code, err }).toMatchObject({ code: 0 });
  });
  expect(peak).toBeLessThan(300 * MiB);
  const { size, blocks } = statSync(file);
  expect(size).toBe(SIZE);
  expect(blocks * 512).toBeLessThan(256 * MiB + 4 * MiB);
}, 60_000);

test('the same disk streams to stdout with all its zeros, in bounded memory', async () => {
  let at = 0;
  let wrong = 0;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const place = at % STEP;
      // Pieces are cut where data begins and ends; each is one value throughout.
      const wanted = place < BLOCK ? SparseDisk.at(at - place) : 0;
      if (chunk[0] !== wanted || chunk.at(-1) !== wanted) wrong++;
      at += chunk.length;
      done();
    },
  });
  const peak = await peakOf(async () => {
    const { code, err } = await offline([...argv, '-'], { bytesOut: () => stream });
    expect({ code, err }).toMatchObject({ code: 0 });
  });
  expect({ at, wrong }).toEqual({ at: SIZE, wrong: 0 });
  expect(peak).toBeLessThan(300 * MiB);
}, 60_000);
