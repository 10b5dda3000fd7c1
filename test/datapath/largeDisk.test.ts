import { expect, test } from 'vitest';
import {
  type DiskSource,
  type JobIo,
  type PageLists,
  runMove,
  runPlan,
  runRestore,
} from '../../lib/datapath/index.ts';
import { type ByteRange, GiB, KiB, MiB, TiB } from '../../lib/model/index.ts';
import {
  type BlockMap,
  checkRepository,
  commitPoint,
  MemoryBlobStore,
  nodesOf,
  openPoint,
  pageRefs,
  pagesOf,
  type Ref,
  readPageTable,
  writePageTable,
} from '../../lib/repository/index.ts';
import { CONFIGURATION, Lab } from './lab.ts';

const SIZE = 32 * TiB;
const BLOCK = 512 * KiB;
const NOW = new Date('2026-11-22T00:00:00Z');
const STEP = 37 * GiB + 3 * BLOCK;

/** Data of one block's length at each multiple of STEP; each version differs in the first few. */
class SparseDisk implements DiskSource, PageLists {
  readonly sizeBytes = SIZE;
  listed = 0;
  readonly #version: number;
  constructor(version: number) {
    this.#version = version;
  }
  static places(window: ByteRange): number[] {
    const places: number[] = [];
    for (let at = Math.ceil(window.offset / STEP) * STEP; at < window.offset + window.length; at += STEP)
      places.push(at);
    return places;
  }
  byteAt(place: number): number {
    return 1 + (((place / STEP) | 0) % 200) + (place / STEP < 3 ? this.#version : 0);
  }
  read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    for (const place of SparseDisk.places({ offset: offset - BLOCK, length: length + BLOCK })) {
      bytes.fill(
        this.byteAt(place),
        Math.max(0, place - offset),
        Math.max(0, Math.min(length, place + BLOCK - offset)),
      );
    }
    return Promise.resolve(bytes);
  }
  allocated(window: ByteRange): Promise<ByteRange[]> {
    this.listed++;
    return Promise.resolve(SparseDisk.places(window).map((offset) => ({ offset, length: BLOCK })));
  }
  async changed(window: ByteRange) {
    return { changed: (await this.allocated(window)).filter(({ offset }) => offset / STEP < 3), cleared: [] };
  }
}

function specs(lab: Lab, sequence: number) {
  const common = {
    chain: { id: lab.chain.id, blockBytes: BLOCK },
    sequence,
    disk: 0,
    sizeBytes: SIZE,
    snapshotId: `s${sequence}`,
  };
  return {
    plan: { kind: 'plan' as const, ...common, shardBytes: 64 * MiB },
    move: { kind: 'move' as const, ...common, compare: true },
  };
}

async function back(lab: Lab, version: number, parent: number | null, io: (more: Partial<JobIo>) => JobIo) {
  const disk = new SparseDisk(version);
  const session = lab.nextSession();
  const claim = await lab.claim(session, parent);
  const { plan, move } = specs(lab, claim.sequence);
  const planned = await runPlan(
    {
      ...plan,
      baseSnapshotId: parent ? `s${parent}` : null,
      readReason: parent ? 'changedBlocks' : 'first',
      parentTable: parent ? await lab.table(parent, 0, session) : null,
    },
    io({ source: disk, lists: disk, random: () => 0.5 }),
  );
  const shards = [];
  for (const { shard } of planned.shards)
    shards.push(await runMove({ ...move, plan: planned.plan, shard }, io({ source: disk })));
  const entry = {
    uniqueId: 'big',
    name: 'big',
    role: 'os' as const,
    lun: null,
    sizeBytes: SIZE,
    sectorSize: 512,
    number: 0,
  };
  const rest = {
    snapshotId: 's',
    snapshotFamilyId: 'f',
    readReason: planned.readReason,
    sampledBytes: planned.sampledBytes,
    shards,
  };
  await commitPoint(lab.chain, {
    claim,
    policyId: null,
    takenAt: NOW,
    now: NOW,
    consistency: 'atomic',
    configuration: CONFIGURATION,
    retention: null,
    disks: [{ ...entry, ...rest }],
  });
  return planned;
}

test('a 32 TiB disk: full, incremental, restore, in memory that does not grow with it', async () => {
  const lab = await Lab.start({ blockBytes: BLOCK });
  const rss = process.memoryUsage().rss;
  const io = (more: Partial<JobIo>) => lab.io(1, more);
  const full = await back(lab, 0, null, io);
  const places = SparseDisk.places({ offset: 0, length: SIZE });
  expect(full.plannedBytes).toBe(places.length * BLOCK);
  const incremental = await back(lab, 5, 1, io);
  expect(incremental).toMatchObject({ readReason: 'changedBlocks', plannedBytes: 3 * BLOCK });
  const written = new Map<number, number>();
  const sink = {
    sizeBytes: SIZE,
    write: (offset: number, bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += BLOCK) {
        const block = bytes.subarray(at, at + BLOCK);
        if (!block.equals(Buffer.alloc(BLOCK, block[0]))) throw new Error('a torn block');
        written.set(offset + at, block[0] ?? 0);
      }
      return Promise.resolve();
    },
  };
  const { map } = await (await openPoint(lab.chain, 2)).disk(0);
  const target = {
    disk: 0,
    sizeBytes: SIZE,
    table: await lab.table(2, 0, lab.nextSession()),
    targetDiskId: 't',
  };
  const chain = { id: lab.chain.id, blockBytes: BLOCK };
  await runRestore({ kind: 'restore', chain, ...target, pageFrom: 0, pageTo: pagesOf(map) }, io({ sink }));
  const truth = new SparseDisk(5);
  expect(written).toEqual(new Map(places.map((place) => [place, truth.byteAt(place)])));
  expect((await checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content' })).findings).toEqual(
    [],
  );
  expect(process.memoryUsage().rss - rss).toBeLessThan(400 * MiB);
}, 60_000);

test('a plan goes on from its last window', async () => {
  const lab = await Lab.start({ blockBytes: BLOCK });
  const disk = new SparseDisk(0);
  const { plan } = specs(lab, 1);
  const spec = { ...plan, baseSnapshotId: null, readReason: 'first' as const, parentTable: null };
  let saved: unknown = null;
  const abort = new AbortController();
  const saveCheckpoint = (state: unknown) => {
    saved = JSON.parse(JSON.stringify(state));
    if ((saved as { next: number }).next === 300) abort.abort(new Error('killed'));
    return Promise.resolve();
  };
  await expect(
    runPlan(spec, lab.io(1, { source: disk, lists: disk, saveCheckpoint, signal: abort.signal })),
  ).rejects.toThrow('killed');
  const listed = disk.listed;
  expect(listed).toBe(300);
  expect(JSON.stringify(saved).length).toBeLessThan(8 * KiB);
  const result = await runPlan(spec, lab.io(2, { source: disk, lists: disk, checkpoint: saved }));
  expect(disk.listed).toBe(512);
  expect(result.plannedBytes).toBe(SparseDisk.places({ offset: 0, length: SIZE }).length * BLOCK);
});

test('the page table of a full 32 TiB disk takes about 3 MB, and is read in bounded memory', async () => {
  const lab = await Lab.start({ blockBytes: BLOCK });
  const shape = { sizeBytes: SIZE, blockBytes: BLOCK, pageBlocks: 256 };
  const refOf = (page: number): Ref => ({
    // One page in fifty was written by a later point.
    object: {
      sequence: page % 50 === 7 ? 2 + (page % 400) : 1,
      disk: 0,
      shard: Math.floor(page / 256),
      attempt: 1,
    },
    record: page % 256,
    present: 256 - (page % 3),
  });
  const map: BlockMap = {
    ...shape,
    present: 1,
    node: (index) => Promise.resolve(Array.from({ length: 256 }, (_, i) => refOf(index * 256 + i))),
  };
  expect(nodesOf(shape)).toBe(1024);
  const staging = new MemoryBlobStore('staging');
  const at = { staging, name: 't', chain: lab.chain.id, keys: lab.chain.keys };
  await writePageTable(map, at);
  expect((await staging.stat('t'))?.size).toBeLessThan(3 * MiB);
  const before = process.memoryUsage().rss;
  let pages = 0;
  for await (const { page, ref } of pageRefs(await readPageTable(at))) {
    if (page !== pages++ || ref.record !== page % 256 || ref.present !== 256 - (page % 3))
      throw new Error(`page ${page}`);
  }
  expect(pages).toBe(262_144);
  expect(process.memoryUsage().rss - before).toBeLessThan(128 * MiB);
}, 60_000);
