import { type JobIo, runMove, runPlan } from '../../lib/datapath/index.ts';
import type { MoveResult, PlanResult, ReadReason } from '../../lib/model/index.ts';
import { isHoldfastError, sessionId } from '../../lib/model/index.ts';
import {
  assignDiskNumbers,
  type Claim,
  type CommittedPoint,
  commitPoint,
  type DiskToCommit,
  encodeChainKeys,
  openPoint,
  type PointManifest,
  pageTableName,
  readPoint,
  readPointState,
  voidClaim,
  writePageTable,
} from '../../lib/repository/index.ts';
import { Crash, type CrashPlan } from '../datapath/faultyStore.ts';
import { CONFIGURATION, RETENTION } from '../datapath/lab.ts';
import { listsOf, type ModelDisk, type ModelSnapshot, ModelSource } from '../datapath/modelDisk.ts';
import type { ModelPoint, Process, World } from './modelWorld.ts';

const PHASES = ['claim', 'plan', 'move', 'commit'] as const;
export type Phase = (typeof PHASES)[number];

interface DiskWork {
  readonly snapshot: ModelSnapshot;
  readonly number: number;
  readonly base: ModelSnapshot | null;
  plan: PlanResult | null;
  /** By shard. The first result that is reported counts. */
  readonly moves: Map<number, MoveResult>;
}

/** A backup session that goes on phase by phase, in one process or in many, with everything that happened written down. */
export class ModelSession {
  readonly id: string;
  readonly installation: string;
  readonly reason: 'changedBlocks' | 'scheduled';
  readonly disks: readonly ModelDisk[];
  claim: Claim | null = null;
  epoch = 1;
  /** Claims under lower epochs: whoever still holds one has lost. */
  readonly oldClaims: Claim[] = [];
  next: Phase = 'claim';
  /** Under way in another process at this moment. */
  busy = false;
  committed: CommittedPoint | null = null;
  parent: { readonly manifest: PointManifest; readonly point: ModelPoint } | null = null;
  work: DiskWork[] = [];
  /** Blocks that its parent had lost when its table was written, with their places: nothing may refer to them. */
  readonly avoid = new Map<string, string>();
  readonly #world: World;
  readonly #wanted: number | null;
  #attempt = 0;

  constructor(world: World, disks: readonly ModelDisk[], reason: 'changedBlocks' | 'scheduled') {
    const number = world.nextSession();
    this.id = sessionId(new Date(Date.parse('2026-11-21T11:00:00Z') + number * 60_000), `run ${number}`);
    this.installation = world.owner;
    this.reason = reason;
    this.disks = disks;
    this.#world = world;
    this.#wanted = world.newest;
  }

  get snapshots(): Map<string, ModelSnapshot> {
    return new Map(this.disks.map(({ uniqueId }, i) => [uniqueId, this.work[i]?.snapshot as ModelSnapshot]));
  }

  get sequence(): number {
    return this.claim?.sequence ?? -1;
  }

  /**
   * Does the phases up to and with `until`, perhaps in a process that dies or pauses. `gone`: the parent was removed before
   * the session had it. `lost`: its number was ended meanwhile.
   */
  async go(until: Phase, plan?: CrashPlan): Promise<'done' | 'gone' | 'lost' | 'died'> {
    const process = this.#world.process(plan);
    this.busy = true;
    try {
      while (PHASES.indexOf(this.next) <= PHASES.indexOf(until)) {
        const phase = this.next;
        if (phase === 'claim') await this.#claim(process);
        else if (phase === 'plan') {
          if (!(await this.#plan(process))) return 'gone';
        } else if (phase === 'move') await this.#move(process);
        else {
          await this.commit(process);
          return 'done';
        }
        this.next = PHASES[PHASES.indexOf(phase) + 1] as Phase;
      }
      return 'done';
    } catch (error) {
      const died = error instanceof Crash;
      const outcome = died || isHoldfastError(error) ? await this.settle() : null;
      if (outcome === 'removed' || outcome === 'abandoned') return 'lost';
      if (died) return 'died';
      throw error;
    } finally {
      this.busy = false;
    }
  }

  /** What its number came to: after a process that perhaps died. */
  async settle(): Promise<'point' | 'removed' | 'abandoned' | null> {
    if (!this.claim) return null;
    const point = this.next === 'commit' ? this.snapshots : undefined;
    const allowed = { ...(point ? { point } : {}), abandoned: true as const };
    const was = this.#world.points.has(this.sequence);
    const outcome = await this.#world.settleNumber(this.sequence, was ? {} : allowed);
    if (outcome === 'point' && !was) this.#sees();
    return outcome;
  }

  /** The new point needs nothing that its parent was known to have lost. */
  #sees(): void {
    const places = this.#world.points.get(this.sequence)?.places;
    for (const [key, place] of this.avoid) {
      const now = places?.get(key);
      if (now && `${now.pack} ${now.ordinal}` === place)
        throw new Error(`block ${key} of point ${this.sequence} refers to what was known as damaged`);
      if (now) this.#world.count('blocks read again');
    }
  }

  request(epoch = this.epoch) {
    return { installation: this.installation, session: this.id, epoch, parent: this.#wanted };
  }

  async #claim({ chain }: Process): Promise<void> {
    this.claim = await this.#world.claim(chain, this.request(), null);
  }

  #io({ chain, staging }: Process, disk: DiskWork): JobIo {
    return {
      chainKey: encodeChainKeys(chain.keys),
      data: chain.repository.data,
      staging,
      attempt: ++this.#attempt,
      source: new ModelSource(disk.snapshot),
      lists: listsOf(disk.snapshot, disk.base),
      saveCheckpoint: () => Promise.resolve(),
      progress: () => undefined,
      signal: new AbortController().signal,
      random: this.#world.dice.float,
    };
  }

  #common(disk: DiskWork) {
    const { id, blockBytes } = this.#world.chain;
    return {
      chain: { id, blockBytes },
      sequence: this.sequence,
      disk: disk.number,
      sizeBytes: disk.snapshot.content.length,
      snapshotId: disk.snapshot.id,
    };
  }

  /** The claim, then the parent's manifest, then the snapshots; tables and plans. False: the parent is no point any more. */
  async #plan(process: Process): Promise<boolean> {
    const { chain, staging } = process;
    const named = this.claim?.parent ?? null;
    if (named !== null && !this.parent) {
      const point = this.#world.points.get(named);
      try {
        const { manifest } = await readPoint(chain, named);
        if (!point) throw new Error(`number ${named} holds a point that the model does not`);
        this.parent = { manifest, point };
      } catch (error) {
        if (isHoldfastError(error, 'missingObject')) return false;
        throw error;
      }
    }
    const parent = this.parent;
    if (this.work.length === 0) {
      const ids = this.disks.map(({ uniqueId }) => uniqueId);
      const numbers = assignDiskNumbers(parent?.manifest ?? null, ids);
      this.work = this.disks.map((disk) => ({
        snapshot: disk.snapshot(),
        number: numbers.get(disk.uniqueId) ?? -1,
        base: parent?.point.disks.get(disk.uniqueId) ?? null,
        plan: null,
        moves: new Map(),
      }));
    }
    const open = parent && (await openPoint(chain, parent.manifest));
    for (const disk of this.work) {
      if (disk.plan) continue;
      const before = open?.manifest.disks.find(({ number }) => number === disk.number);
      let parentTable: string | null = null;
      if (open && before) {
        parentTable = pageTableName(this.id, disk.number);
        const first = (await staging.stat(parentTable)) === null;
        const { map } = await open.disk(disk.number);
        const state = await readPointState(chain, open.manifest.sequence);
        await writePageTable(map, { staging, name: parentTable, chain: chain.id, keys: chain.keys });
        const lost = state?.damage.find((one) => one.disk === disk.number)?.ranges;
        for (const [from, count] of first ? (lost ?? []) : []) {
          for (let block = from; block < from + count; block++) {
            const key = `${disk.number}/${block}`;
            const place = parent?.point.places.get(key);
            if (place) this.avoid.set(key, `${place.pack} ${place.ordinal}`);
          }
        }
      }
      const readReason: ReadReason = parentTable ? this.reason : 'first';
      const baseSnapshotId = readReason === 'changedBlocks' ? (disk.base?.id ?? null) : null;
      disk.plan = await runPlan(
        {
          kind: 'plan',
          ...this.#common(disk),
          baseSnapshotId,
          readReason,
          parentTable,
          shardBytes: this.#world.shardBytes,
        },
        this.#io(process, disk),
      );
    }
    return true;
  }

  async #move(process: Process): Promise<void> {
    const { dice } = this.#world;
    for (const disk of this.work) {
      for (const { shard } of disk.plan?.shards ?? []) {
        if (disk.moves.has(shard)) continue;
        const run = () => this.#moveShard(process, disk, shard);
        // A second worker was given the same shard.
        const twice = dice.chance(0.15);
        const results = twice ? await Promise.all([run(), run()]) : [await run()];
        if (twice) this.#world.count('shards by two workers');
        disk.moves.set(shard, dice.pick(results) as MoveResult);
      }
    }
  }

  #moveShard(process: Process, disk: DiskWork, shard: number): Promise<MoveResult> {
    const plan = disk.plan?.plan ?? '';
    const spec = { kind: 'move' as const, ...this.#common(disk), plan, shard, compare: true };
    return runMove(spec, this.#io(process, disk));
  }

  /** An activity that nobody waits for any more: moves a shard again, under an attempt of its own. */
  async lateMove(): Promise<boolean> {
    const disk = this.work.find(({ plan }) => plan && plan.shards.length > 0);
    const shard = disk?.plan?.shards[0]?.shard;
    if (!disk || shard === undefined) return false;
    await this.#moveShard(this.#world.process(), disk, shard);
    return true;
  }

  /** Commits; also again. */
  async commit(
    { chain }: Pick<Process, 'chain'>,
    claim: Claim = this.claim as Claim,
  ): Promise<CommittedPoint> {
    const disks: DiskToCommit[] = this.work.map((disk, i) => ({
      uniqueId: (this.disks[i] as ModelDisk).uniqueId,
      name: (this.disks[i] as ModelDisk).uniqueId,
      role: disk.number === 0 ? 'os' : 'data',
      lun: disk.number === 0 ? null : disk.number,
      sizeBytes: disk.snapshot.content.length,
      sectorSize: 512,
      number: disk.number,
      snapshotId: disk.snapshot.id,
      snapshotFamilyId: (this.disks[i] as ModelDisk).uniqueId,
      readReason: disk.plan?.readReason ?? 'first',
      sampledBytes: disk.plan?.sampledBytes ?? 0,
      shards: [...disk.moves.values()],
    }));
    const now = this.#world.time.at;
    const point = await commitPoint(chain, {
      claim,
      policyId: 'daily',
      takenAt: now,
      now,
      consistency: 'perDisk',
      configuration: CONFIGURATION,
      retention: RETENTION,
      disks,
    });
    if (this.committed && this.committed.tag !== point.tag) throw new Error('a commit gave another point');
    this.committed = point;
    await this.settle();
    return point;
  }

  /** Ends it without a point, unless it has one. */
  async end(): Promise<void> {
    if (!this.claim) return;
    const because = 'sessionEnded' as const;
    const now = this.#world.time.at;
    await voidClaim(this.#world.chain, { sequence: this.sequence, by: 'test', now, because });
    await this.settle();
  }
}
