import { type JobIo, runMove, runPlan, runRestore } from '../../lib/datapath/index.ts';
import type {
  CarriedRetention,
  MachineConfiguration,
  MoveResult,
  PlanResult,
  ReadReason,
} from '../../lib/model/index.ts';
import { chainIdFor, KiB, sessionId } from '../../lib/model/index.ts';
import {
  assignDiskNumbers,
  type BlobStore,
  type Chain,
  type Claim,
  type CommittedPoint,
  claimSequence,
  commitPoint,
  createChain,
  createRepository,
  type DiskToCommit,
  encodeChainKeys,
  MemoryBlobStore,
  openChain,
  openPoint,
  openRepository,
  type PointManifest,
  pagesOf,
  pageTableName,
  type Unlock,
  writePageTable,
} from '../../lib/repository/index.ts';
import { listsOf, type ModelDisk, ModelSink, type ModelSnapshot, ModelSource } from './modelDisk.ts';

export const CHEAP = { N: 2, r: 1, p: 1 };
export const PASSWORD: Unlock = { password: 'correct horse' };
export const MACHINE = '00000000-0000-4000-8000-000000000001';
const START = new Date('2026-11-21T10:00:00Z');

/** All of a stream. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

export interface LabOptions {
  readonly meta?: BlobStore;
  readonly data?: BlobStore;
  readonly staging?: BlobStore;
  readonly unlock?: Unlock;
  readonly blockBytes?: number;
  readonly shardBytes?: number;
}

export interface BackupOptions {
  /** Reads of disks as they were decided outside: default is changed blocks where there is a parent. */
  readonly reason?: ReadReason;
  readonly refuseDiff?: string;
  readonly attempt?: number;
  readonly random?: () => number;
}

/** One session, up to its commit. */
export interface Prepared {
  readonly claim: Claim;
  readonly disks: DiskToCommit[];
  readonly plans: PlanResult[];
  readonly moves: MoveResult[];
  readonly sources: ModelSource[];
  readonly snapshots: ModelSnapshot[];
}

/** A repository with one chain, and the steps that a session takes: what the app does, with memory stores. */
export class Lab {
  readonly meta: BlobStore;
  readonly data: BlobStore;
  readonly staging: BlobStore;
  readonly unlock: Unlock;
  readonly blockBytes: number;
  readonly shardBytes: number;
  /** What each committed point must restore to, by sequence and unique id. */
  readonly truth = new Map<number, Map<string, ModelSnapshot>>();
  chain!: Chain;
  #sessions = 0;

  constructor(options: LabOptions = {}) {
    this.meta = options.meta ?? new MemoryBlobStore('meta');
    this.data = options.data ?? new MemoryBlobStore('data');
    this.staging = options.staging ?? new MemoryBlobStore('staging');
    this.unlock = options.unlock ?? PASSWORD;
    this.blockBytes = options.blockBytes ?? 4 * KiB;
    this.shardBytes = options.shardBytes ?? 600 * KiB;
  }

  static async start(options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(options);
    await createRepository({ ...lab.stores, unlock: lab.unlock, now: START, scrypt: CHEAP });
    await lab.found();
    return lab;
  }

  get stores() {
    return { meta: this.meta, data: this.data };
  }

  async found(): Promise<void> {
    const repository = await openRepository({ ...this.stores, unlock: this.unlock });
    const session = sessionId(START, 'founder');
    const machine = { id: MACHINE, armId: '/subscriptions/s/x', name: 'vm1' };
    const createdAt = START.toISOString();
    const id = chainIdFor(session, MACHINE);
    this.chain = await createChain(repository, {
      id,
      machine,
      session,
      createdAt,
      blockBytes: this.blockBytes,
    });
  }

  async reopen(): Promise<void> {
    this.chain = await openChain(
      await openRepository({ ...this.stores, unlock: this.unlock }),
      this.chain.id,
    );
  }

  nextSession(): string {
    return sessionId(new Date(START.getTime() + ++this.#sessions * 60_000), `run ${this.#sessions}`);
  }

  io(attempt: number, more: Partial<JobIo> = {}): JobIo {
    return {
      chainKey: encodeChainKeys(this.chain.keys),
      data: this.data,
      staging: this.staging,
      attempt,
      saveCheckpoint: () => Promise.resolve(),
      progress: () => undefined,
      signal: new AbortController().signal,
      ...more,
    };
  }

  async newest(): Promise<{ manifest: PointManifest; snapshots: Map<string, ModelSnapshot> } | null> {
    const sequence = Math.max(0, ...this.truth.keys());
    const snapshots = this.truth.get(sequence);
    return snapshots ? { manifest: (await openPoint(this.chain, sequence)).manifest, snapshots } : null;
  }

  claim(session: string, parent: number | null, epoch = 1): Promise<Claim> {
    return claimSequence(this.chain, { installation: 'lab', session, epoch, parent });
  }

  /** Snapshot, claim, plan, move. */
  async prepare(
    disks: readonly ModelDisk[],
    options: BackupOptions = {},
    session = this.nextSession(),
  ): Promise<Prepared> {
    const parent = await this.newest();
    const claim = await this.claim(session, parent?.manifest.sequence ?? null);
    const numbers = assignDiskNumbers(
      parent?.manifest ?? null,
      disks.map(({ uniqueId }) => uniqueId),
    );
    const prepared: Prepared = { claim, disks: [], plans: [], moves: [], sources: [], snapshots: [] };
    for (const disk of disks) {
      const snapshot = disk.snapshot();
      prepared.snapshots.push(snapshot);
      const number = numbers.get(disk.uniqueId) ?? -1;
      const before = parent?.snapshots.get(disk.uniqueId) ?? null;
      const parentTable =
        parent && before ? await this.table(parent.manifest.sequence, number, session) : null;
      const source = new ModelSource(snapshot);
      prepared.sources.push(source);
      const incremental = parentTable !== null && (options.reason ?? 'changedBlocks') === 'changedBlocks';
      const common = {
        chain: { id: this.chain.id, blockBytes: this.blockBytes },
        sequence: claim.sequence,
        disk: number,
      };
      const sized = { sizeBytes: disk.content.length, snapshotId: snapshot.id };
      const io = this.io(options.attempt ?? 1, {
        source,
        lists: listsOf(snapshot, before, options.refuseDiff),
        ...(options.random ? { random: options.random } : {}),
      });
      const plan = await runPlan(
        {
          kind: 'plan',
          ...common,
          ...sized,
          baseSnapshotId: incremental ? (before?.id ?? null) : null,
          readReason: incremental ? 'changedBlocks' : parentTable ? (options.reason ?? 'first') : 'first',
          parentTable,
          shardBytes: this.shardBytes,
        },
        io,
      );
      prepared.plans.push(plan);
      const shards: MoveResult[] = [];
      for (const { shard } of plan.shards) {
        shards.push(
          await runMove({ kind: 'move', ...common, ...sized, plan: plan.plan, shard, compare: true }, io),
        );
      }
      prepared.moves.push(...shards);
      prepared.disks.push({
        uniqueId: disk.uniqueId,
        name: disk.uniqueId,
        role: number === 0 ? 'os' : 'data',
        lun: number === 0 ? null : number,
        sizeBytes: disk.content.length,
        sectorSize: 512,
        number,
        snapshotId: snapshot.id,
        snapshotFamilyId: disk.uniqueId,
        readReason: plan.readReason,
        sampledBytes: plan.sampledBytes,
        shards,
      });
    }
    return prepared;
  }

  async commit(prepared: Prepared): Promise<CommittedPoint> {
    const point = await commitPoint(this.chain, {
      claim: prepared.claim,
      policyId: 'daily',
      takenAt: START,
      now: START,
      consistency: 'perDisk',
      configuration: CONFIGURATION,
      retention: RETENTION,
      disks: prepared.disks,
    });
    this.truth.set(
      point.manifest.sequence,
      new Map(prepared.disks.map(({ uniqueId }, i) => [uniqueId, prepared.snapshots[i] as ModelSnapshot])),
    );
    return point;
  }

  async backup(
    disks: readonly ModelDisk[],
    options: BackupOptions = {},
  ): Promise<Prepared & { point: CommittedPoint }> {
    const prepared = await this.prepare(disks, options);
    return { ...prepared, point: await this.commit(prepared) };
  }

  /** Writes the page table of a disk of a point into staging; returns its name. */
  async table(sequence: number, disk: number, session: string): Promise<string> {
    const { map } = await (await openPoint(this.chain, sequence)).disk(disk);
    const name = pageTableName(session, disk);
    await writePageTable(map, { staging: this.staging, name, chain: this.chain.id, keys: this.chain.keys });
    return name;
  }

  /** Restores one disk of a point through jobs, in two parts; returns its bytes. */
  async restore(sequence: number, number: number): Promise<ModelSink> {
    const { disk, map } = await (await openPoint(this.chain, sequence)).disk(number);
    const table = await this.table(sequence, number, this.nextSession());
    const sink = new ModelSink(disk.sizeBytes);
    const half = Math.floor(pagesOf(map) / 2);
    for (const [pageFrom, pageTo] of [
      [0, half],
      [half, pagesOf(map)],
    ] as const) {
      await runRestore(
        {
          kind: 'restore',
          chain: { id: this.chain.id, blockBytes: this.blockBytes },
          disk: number,
          sizeBytes: disk.sizeBytes,
          table,
          pageFrom,
          pageTo,
          targetDiskId: 'target',
        },
        this.io(1, { sink }),
      );
    }
    return sink;
  }

  /** Throws unless every disk of the point restores to its snapshot, byte for byte. */
  async mustRestore(sequence: number): Promise<void> {
    const { manifest } = await openPoint(this.chain, sequence);
    const truth = this.truth.get(sequence) ?? new Map<string, ModelSnapshot>();
    if (manifest.disks.length !== truth.size)
      throw new Error(`point ${sequence} has ${manifest.disks.length} disks`);
    for (const { number, uniqueId } of manifest.disks) {
      const { content } = await this.restore(sequence, number);
      const wanted = truth.get(uniqueId)?.content;
      if (!wanted?.equals(content)) throw new Error(`disk ${uniqueId} of point ${sequence} restores wrongly`);
    }
  }
}

/** As a policy with days and years would have its point carry it. */
export const RETENTION: CarriedRetention = {
  flags: ['daily', 'yearly'],
  rules: { keep: { daily: { points: 14 }, yearly: { years: 7 } }, keepLast: true, timeZone: 'Europe/Berlin' },
  expiresAt: null,
};

export const CONFIGURATION: MachineConfiguration = {
  machine: {
    id: MACHINE,
    armId: '/subscriptions/s/x',
    name: 'vm1',
    subscriptionId: 's',
    resourceGroup: 'rg',
    location: 'westeurope',
    powerState: 'running',
    tags: {},
  },
  virtualMachine: { properties: { hardwareProfile: { vmSize: 'Standard_D2s_v5' } } },
  networkInterfaces: [],
  disks: [],
};
