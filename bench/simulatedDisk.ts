/**
 * A disk too large to move here. The block map of a disk depends on how many blocks it has, not on how large they are: a disk of
 * 4 TiB in blocks of 512 KiB has the map of one of 32 GiB in blocks of 4 KiB, so that is what is backed up, with the real plan,
 * move and commit.
 */

import { type DiskSource, type PageLists, runJob } from '../lib/datapath/index.ts';
import { chainIdFor, type MoveResult, sessionId } from '../lib/model/index.ts';
import {
  type BlobStore,
  type Chain,
  claimSequence,
  commitPoint,
  createChain,
  createRepository,
  encodeChainKeys,
  MemoryBlobStore,
  openPoint,
  pageTableName,
  writePageTable,
} from '../lib/repository/index.ts';
import { CONFIGURATION, MACHINE } from './benchMachine.ts';

const BLOCK = 4096;
export const REAL_BLOCK = 512 * 1024;
export const PAGE_BLOCKS = 256;
export const START = new Date('2026-11-21T10:00:00Z');

export interface SimulatedDisk {
  readonly chain: Chain;
  readonly data: BlobStore;
  readonly sizeBytes: number;
  /** Backs up what is allocated (null), or these blocks with new content. */
  backup(changed: readonly number[] | null): Promise<MoveResult[]>;
}

export interface SimulateDisk {
  /** Size of the disk that is simulated, in blocks of 512 KiB. */
  readonly realBytes: number;
  /** The allocated blocks of each page, ascending, from 0. */
  readonly allocated: (page: number) => readonly number[];
  readonly stores?: { readonly meta: BlobStore; readonly data: BlobStore };
}

/** `count` blocks evenly over a page. */
export const spread = (count: number) => (): readonly number[] =>
  Array.from({ length: count }, (_, i) => Math.floor((i * PAGE_BLOCKS) / count));

export async function simulateDisk({ realBytes, allocated, ...rest }: SimulateDisk): Promise<SimulatedDisk> {
  const blocks = realBytes / REAL_BLOCK;
  const sizeBytes = blocks * BLOCK;
  const stores = rest.stores ?? { meta: new MemoryBlobStore('meta'), data: new MemoryBlobStore('data') };
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
      for (const block of allocated(page)) yield page * PAGE_BLOCKS + block;
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
      const block = offset / BLOCK;
      if (allocated(Math.floor(block / PAGE_BLOCKS)).includes(block % PAGE_BLOCKS))
        for (let at = 0; at < length; at += 64) bytes.writeDoubleLE((offset + at) * 1.37 + 1, at);
      return Promise.resolve(bytes);
    },
  });
  return { chain, data: stores.data, sizeBytes, backup };
}
