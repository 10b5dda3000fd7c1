/**
 * What metadata costs on disks too large to move here. The block map of a disk depends on how many blocks it has, not on how
 * large they are: a disk of 4 TiB in blocks of 512 KiB has the map of one of 32 GiB in blocks of 4 KiB, so that is what is backed
 * up, with the real plan, move and commit, over stores in memory. Every page of the map has blocks.
 */
import { type DiskSource, type PageLists, runJob } from '../lib/datapath/index.ts';
import { chainIdFor, type MachineConfiguration, type MoveResult, sessionId } from '../lib/model/index.ts';
import {
  type BlockMap,
  type Chain,
  claimSequence,
  commitPoint,
  createChain,
  createRepository,
  encodeChainKeys,
  MemoryBlobStore,
  openPoint,
  pageRefs,
  pagesOf,
  pageTableName,
  removePoint,
  writePageTable,
} from '../lib/repository/index.ts';

export interface MetadataCost {
  readonly what: string;
  readonly value: string;
}

const BLOCK = 4096;
const REAL_BLOCK = 512 * 1024;
const PAGE_BLOCKS = 256;
const TiB = 1024 ** 4;
const START = new Date('2026-11-21T10:00:00Z');
const MACHINE = '00000000-0000-4000-8000-000000000001';
const CHANGED_PAGES = 64;

const CONFIGURATION: MachineConfiguration = {
  machine: {
    id: MACHINE,
    armId: '/subscriptions/s/vm',
    name: 'vm',
    subscriptionId: 's',
    resourceGroup: 'rg',
    location: 'westeurope',
    powerState: 'running',
    tags: {},
  },
  virtualMachine: {},
  networkInterfaces: [],
  disks: [],
};

interface Simulated {
  readonly chain: Chain;
  readonly data: MemoryBlobStore;
  readonly sizeBytes: number;
  backup(changed: readonly number[] | null): Promise<MoveResult[]>;
}

/** A disk whose allocated blocks are `perPage` in each page; `changed` blocks are new content. */
async function simulate(realBytes: number, perPage: number): Promise<Simulated> {
  const blocks = realBytes / REAL_BLOCK;
  const sizeBytes = blocks * BLOCK;
  const stores = { meta: new MemoryBlobStore('meta'), data: new MemoryBlobStore('data') };
  const staging = new MemoryBlobStore('staging');
  const repository = await createRepository({ ...stores, unlock: { mode: 'none' }, now: START });
  const session = sessionId(START, 'metadata');
  const machine = { id: MACHINE, armId: '/subscriptions/s/vm', name: 'vm' };
  const chain = await createChain(repository, {
    id: chainIdFor(session, MACHINE),
    machine,
    session,
    createdAt: START.toISOString(),
    blockBytes: BLOCK,
  });
  let version = 0;
  const source: DiskSource = {
    sizeBytes,
    read(offset, length) {
      const bytes = Buffer.alloc(length);
      for (let at = 0; at < length; at += 64) bytes.writeDoubleLE((offset + at) * 1.37 + version, at);
      return Promise.resolve(bytes);
    },
  };
  const all = function* () {
    for (let page = 0; page * PAGE_BLOCKS < blocks; page++)
      for (let i = 0; i < perPage; i++) yield page * PAGE_BLOCKS + Math.floor((i * PAGE_BLOCKS) / perPage);
  };
  const backup = async (changed: readonly number[] | null): Promise<MoveResult[]> => {
    version++;
    const run = sessionId(START, `run ${version}`);
    const parent = changed ? version - 1 : null;
    const claim = await claimSequence(chain, { installation: 'bench', session: run, epoch: 1, parent });
    const ranges = ({ offset, length }: { offset: number; length: number }) => {
      const found = [];
      for (const block of changed ?? all()) {
        if (block * BLOCK >= offset && block * BLOCK < offset + length)
          found.push({ offset: block * BLOCK, length: BLOCK });
      }
      return found;
    };
    const lists: PageLists = {
      allocated: (window) => Promise.resolve(ranges(window)),
      changed: (window) => Promise.resolve({ changed: ranges(window), cleared: [] }),
    };
    let parentTable: string | null = null;
    if (parent !== null) {
      const { map } = await (await openPoint(chain, parent)).disk(0);
      parentTable = pageTableName(run, 0);
      await writePageTable(map, { staging, name: parentTable, chain: chain.id, keys: chain.keys });
    }
    const io = {
      chainKey: encodeChainKeys(chain.keys),
      data: stores.data,
      staging,
      // What is called unchanged is re-read and compared: it must read as it was written.
      source,
      lists,
      attempt: 1,
      saveCheckpoint: () => Promise.resolve(),
      progress: () => undefined,
      signal: new AbortController().signal,
    };
    const common = {
      chain: { id: chain.id, blockBytes: BLOCK },
      sequence: claim.sequence,
      disk: 0,
      sizeBytes,
      snapshotId: `s${version}`,
    };
    const written = version;
    // Samples read what the first version wrote, unless the block changed since: here they read all of it as unchanged.
    const plan = await runJob(
      {
        kind: 'plan',
        ...common,
        baseSnapshotId: parent === null ? null : `s${parent}`,
        readReason: parent === null ? 'first' : 'changedBlocks',
        parentTable,
        shardBytes: 1024 ** 3,
      },
      parent === null ? io : { ...io, source: sampled(sizeBytes), random: () => 0 },
    );
    if (plan.kind !== 'plan' || (parent !== null && plan.readReason !== 'changedBlocks'))
      throw new Error(`The simulated disk ${written} was not planned as expected.`);
    const moves: MoveResult[] = [];
    for (const { shard } of plan.shards) {
      const moved = await runJob({ kind: 'move', ...common, plan: plan.plan, shard, compare: false }, io);
      if (moved.kind === 'move') moves.push(moved);
    }
    await commitPoint(chain, {
      claim,
      policyId: null,
      takenAt: START,
      now: START,
      consistency: 'atomic',
      configuration: CONFIGURATION,
      retention: null,
      disks: [
        {
          uniqueId: 'disk',
          name: 'disk',
          role: 'os',
          lun: null,
          sizeBytes,
          sectorSize: 512,
          number: 0,
          snapshotId: common.snapshotId,
          snapshotFamilyId: 'disk',
          readReason: plan.readReason,
          sampledBytes: plan.sampledBytes,
          shards: moves,
        },
      ],
    });
    return moves;
  };
  /** The disk as its first version was: samples are of blocks that never changed. */
  const sampled = (size: number): DiskSource => ({
    sizeBytes: size,
    read(offset, length) {
      const bytes = Buffer.alloc(length);
      const allocated = (offset / BLOCK) % Math.floor(PAGE_BLOCKS / perPage) === 0;
      if (allocated)
        for (let at = 0; at < length; at += 64) bytes.writeDoubleLE((offset + at) * 1.37 + 1, at);
      return Promise.resolve(bytes);
    },
  });
  return { chain, data: stores.data, sizeBytes, backup };
}

async function metadataBytes({ data }: Simulated): Promise<number> {
  let bytes = 0;
  for await (const { name, size } of data.list('')) if (name.endsWith('.map')) bytes += size;
  return bytes;
}

const timed = async <T>(act: () => Promise<T>): Promise<{ ms: number; result: T }> => {
  const start = performance.now();
  const result = await act();
  return { ms: performance.now() - start, result };
};

/** Pages whose references differ: what two points do not share. */
async function differing(one: BlockMap, other: BlockMap): Promise<number> {
  const refs = async (map: BlockMap) => {
    const found = new Map<number, string>();
    for await (const { page, ref } of pageRefs(map, 0, pagesOf(map))) found.set(page, JSON.stringify(ref));
    return found;
  };
  const [a, b] = [await refs(one), await refs(other)];
  return [...a].filter(([page, ref]) => b.get(page) !== ref).length;
}

/** Costs of metadata for 4 TiB with a chain of `points` restore points, and for 32 TiB. */
export async function metadataCosts(points = 1000): Promise<MetadataCost[]> {
  const costs: MetadataCost[] = [];
  const add = (what: string, value: string) => costs.push({ what, value });
  for (const [name, bytes, perPage, length] of [
    ['4 TiB', 4 * TiB, 2, points],
    ['32 TiB', 32 * TiB, 1, 2],
  ] as const) {
    const disk = await simulate(bytes, perPage);
    const full = await timed(() => disk.backup(null));
    const blocks = full.result.reduce((sum, { blocksStored }) => sum + blocksStored, 0);
    const fullBytes = await metadataBytes(disk);
    add(
      `${name}: map objects of a full, ${blocks} blocks stored, in ${pagesOf({ ...disk.chain, sizeBytes: disk.sizeBytes })} pages`,
      `${(fullBytes / blocks).toFixed(1)} B/block`,
    );
    // Pages of the second half, each time others: samples look at the first.
    const pages = bytes / REAL_BLOCK / PAGE_BLOCKS;
    const chained = await timed(async () => {
      for (let point = 2; point <= length; point++) {
        const changed = Array.from(
          { length: CHANGED_PAGES },
          (_, i) =>
            (pages / 2 + ((point * 131 + i * Math.floor(pages / 2 / CHANGED_PAGES)) % (pages / 2))) *
            PAGE_BLOCKS,
        );
        await disk.backup([...new Set(changed)].sort((a, b) => a - b));
      }
    });
    if (length > 1) {
      const each = (await metadataBytes(disk)) - fullBytes;
      add(
        `${name}: map objects of an incremental of ${CHANGED_PAGES} blocks in as many pages`,
        `${(each / (length - 1) / CHANGED_PAGES).toFixed(0)} B/block`,
      );
      add(
        `${name}: an incremental of ${CHANGED_PAGES} blocks, planned, moved and committed`,
        `${(chained.ms / (length - 1)).toFixed(0)} ms`,
      );
    }
    const middle = Math.max(1, Math.floor(length / 2));
    const opened = await timed(async () => (await openPoint(disk.chain, middle)).disk(0));
    add(`${name}, chain of ${length}: open a restore point`, `${opened.ms.toFixed(0)} ms`);
    const neighbour = await (await openPoint(disk.chain, middle + 1)).disk(0);
    const diff = await timed(() => differing(opened.result.map, neighbour.map));
    add(
      `${name}, chain of ${length}: compare it with its neighbour (${diff.result} pages differ)`,
      `${diff.ms.toFixed(0)} ms`,
    );
    const removed = await timed(() => removePoint(disk.chain, { sequence: middle, by: 'bench', now: START }));
    add(`${name}, chain of ${length}: remove it`, `${removed.ms.toFixed(0)} ms`);
  }
  add(
    'peak memory of all of this, the stores in memory included',
    `${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`,
  );
  return costs;
}
