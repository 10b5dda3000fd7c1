import { chainData } from '../../lib/repository/chain.ts';
import {
  type BlobStore,
  type Chain,
  type CollectionPlan,
  type CompactionPlan,
  claimSequence,
  MapObjects,
  MemoryBlobStore,
  openPoint,
  openSequences,
  type PointManifest,
  packName,
  pageRefs,
  pagesOf,
  type RememberedChain,
  readManifest,
  salvageBlocks,
  takeOwnership,
} from '../../lib/repository/index.ts';
import { CrashingStore, CrashPlan } from '../datapath/faultyStore.ts';
import { Lab, PASSWORD } from '../datapath/lab.ts';
import { ModelDisk, type ModelSnapshot } from '../datapath/modelDisk.ts';
import { HOUR, VirtualTime } from './collectLab.ts';
import { Dice } from './modelDice.ts';
import type { ModelSession } from './modelSession.ts';

export { HOUR };
export const MINUTE = HOUR / 60;
export const BLOCK = 4096;
/** Each page with data is a shard of its own. */
const SHARD = 4 * BLOCK;
/** Three pages, and a last block that is cut. */
const OS_SECTORS = 8 * 515 + 3;
const DATA_SECTORS = 8 * 20;

/** Where a block was stored when its point was committed. */
export interface Place {
  readonly pack: string;
  readonly ordinal: number;
}

/** A restore point as the model has it. */
export interface ModelPoint {
  readonly manifest: PointManifest;
  /** By the disk's unique id. */
  readonly disks: ReadonlyMap<string, ModelSnapshot>;
  /** By `<disk number>/<block>`. */
  readonly places: ReadonlyMap<string, Place>;
}

/** A reader under a lease. */
export interface Reader {
  readonly point: ModelPoint;
  readonly lease: string;
  readonly readAt: Date;
  /** Renews its lease; one that sleeps does not. */
  awake: boolean;
}

export interface Planned<P> {
  readonly plan: P;
  readonly installation: string;
}

/** A process: the chain and the staging container as it sees them. */
export interface Process {
  readonly chain: Chain;
  readonly staging: BlobStore;
}

/** Runs something in the middle of another process's work, before its `at`th storage call. */
export class PausePlan extends CrashPlan {
  readonly before: number;
  readonly #act: () => Promise<void>;

  constructor(at: number, act: () => Promise<void>) {
    super(Infinity, 'before');
    this.before = at;
    this.#act = act;
  }

  override async run<T>(call: () => Promise<T>): Promise<T> {
    if (++this.calls === this.before) {
      this.fired = true;
      await this.#act();
    }
    return call();
  }
}

/** The name of generation 0 of a pack, from that of any of its generations. */
export const packOf = (object: string): string => object.replace(/\.g\d+\.pack$/, '.pack');

/**
 * A repository in memory under virtual time, and beside it the model: plain maps of what was committed, removed and
 * claimed, with the snapshots themselves as contents.
 */
export class World {
  readonly time = new VirtualTime();
  readonly clock = { now: this.time.now, sleep: () => Promise.resolve() };
  readonly dice: Dice;
  readonly stores = {
    meta: new MemoryBlobStore('meta', this.time.now),
    data: new MemoryBlobStore('data', this.time.now),
    staging: new MemoryBlobStore('staging', this.time.now),
  };
  readonly unlock = PASSWORD;
  readonly shardBytes = SHARD;
  chain!: Chain;

  readonly os = new ModelDisk('os', OS_SECTORS);
  readonly data = new ModelDisk('data', DATA_SECTORS);

  /** Retained points, removed or abandoned numbers, and claimed numbers that are not decided. */
  readonly points = new Map<number, ModelPoint>();
  readonly voids = new Map<number, 'removed' | 'abandoned'>();
  readonly undecided = new Set<number>();
  /** Packs of which an object was damaged: by the name of generation 0. Only their blocks may be lost. */
  readonly hurt = new Set<string>();

  readonly sessions: ModelSession[] = [];
  readonly ended: ModelSession[] = [];
  readonly readers: Reader[] = [];
  readonly collections: Planned<CollectionPlan>[] = [];
  readonly compactions: Planned<CompactionPlan>[] = [];
  owner = 'one';
  /** What each installation remembers of its last term. */
  readonly terms = new Map<string, number>();
  remembered: RememberedChain[] = [];
  /** How often what happened. */
  readonly counts = new Map<string, number>();
  #sessions = 0;

  private constructor(seed: number) {
    this.dice = new Dice(seed);
  }

  static async start(seed: number): Promise<World> {
    const world = new World(seed);
    const lab = await Lab.start({ ...world.stores, blockBytes: BLOCK, shardBytes: SHARD });
    world.chain = lab.chain;
    await world.takeOver(world.owner);
    world.os.write(0, 90, 3);
    return world;
  }

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  async takeOver(installation: string): Promise<void> {
    const { counter } = await takeOwnership(this.chain.repository, {
      installation,
      now: this.time.at,
      takeOver: true,
    });
    this.owner = installation;
    this.terms.set(installation, counter);
  }

  nextSession(): number {
    return ++this.#sessions;
  }

  get newest(): number | null {
    return this.points.size > 0 ? Math.max(...this.points.keys()) : null;
  }

  get highest(): number {
    return Math.max(0, ...this.points.keys(), ...this.voids.keys(), ...this.undecided);
  }

  /** Another process at the same stores, to which a plan may happen. */
  process(plan?: CrashPlan): Process {
    if (!plan) return { chain: this.chain, staging: this.stores.staging };
    const [meta, data, staging] = (['meta', 'data', 'staging'] as const).map(
      (name) => new CrashingStore(this.stores[name], plan),
    );
    if (!meta || !data || !staging) throw new Error('no stores');
    return { chain: { ...this.chain, repository: { ...this.chain.repository, meta, data } }, staging };
  }

  /** Takes a number, and sees that nobody had it before. */
  async claim(
    chain: Chain,
    request: { installation: string; session: string; epoch: number; parent: number | null },
    own: number | null,
  ) {
    const before = this.highest;
    try {
      const claim = await claimSequence(chain, request);
      if (own === null && claim.sequence <= before && !this.undecided.has(claim.sequence))
        throw new Error(`number ${claim.sequence} was given again`);
      return claim;
    } finally {
      // A process that died may have left a claim.
      for (const sequence of await openSequences(this.chain)) {
        if (sequence > before) this.undecided.add(sequence);
      }
    }
  }

  /**
   * Whatever decides the number now, after somebody tried and perhaps died: one of the outcomes that the try allows becomes
   * the model's.
   */
  async settleNumber(
    sequence: number,
    allowed: { point?: ReadonlyMap<string, ModelSnapshot> | undefined; abandoned?: true; removed?: true },
  ): Promise<'point' | 'removed' | 'abandoned' | null> {
    const stored = (await readManifest(this.chain, sequence))?.manifest;
    const was = this.points.has(sequence) ? 'point' : (this.voids.get(sequence) ?? null);
    const is = stored ? (stored.state === 'point' ? 'point' : stored.reason) : null;
    if (is === was) return is;
    const from = was ?? 'undecided';
    if (is === null || was === 'removed' || was === 'abandoned' || (is === 'removed') !== (was === 'point'))
      throw new Error(`number ${sequence} went from ${from} to ${is ?? 'undecided'}`);
    if (!allowed[is]) throw new Error(`number ${sequence} became ${is}, which nobody asked for`);
    this.undecided.delete(sequence);
    if (stored?.state === 'point' && allowed.point) {
      this.points.set(sequence, await this.describe(stored, allowed.point));
      this.count('points');
    } else if (is !== 'point') {
      this.points.delete(sequence);
      this.voids.set(sequence, is);
    }
    return is;
  }

  async describe(
    manifest: PointManifest,
    snapshots: ReadonlyMap<string, ModelSnapshot>,
  ): Promise<ModelPoint> {
    const places = new Map<string, Place>();
    const maps = new MapObjects(chainData(this.chain));
    const point = await openPoint(this.chain, manifest);
    for (const { number } of manifest.disks) {
      const { map } = await point.disk(number);
      for await (const { page, ref } of pageRefs(map)) {
        const content = await maps.page(ref);
        for (let i = 0; i < content.blocks; i++) {
          const found = content.get(i);
          if (!found) continue;
          const pack = packName(this.chain.id, found.pack);
          places.set(`${number}/${page * map.pageBlocks + i}`, { pack, ordinal: found.ordinal });
        }
      }
    }
    return { manifest, disks: new Map(snapshots), places };
  }

  /**
   * Reads a point from its manifest and throws unless every block is as it was, or lost with a pack that was damaged. The
   * lost ones, by `<disk number>/<block>`.
   */
  async read({ manifest, disks, places }: ModelPoint): Promise<Set<string>> {
    const lost = new Set<string>();
    const { sequence } = manifest;
    if (manifest.disks.length !== disks.size) throw new Error(`point ${sequence} has other disks`);
    const open = await openPoint(this.chain, manifest);
    for (const { number, uniqueId } of manifest.disks) {
      const disk = await open.disk(number);
      const truth = disks.get(uniqueId)?.content;
      if (!truth || truth.length !== disk.disk.sizeBytes)
        throw new Error(`disk ${uniqueId} of point ${sequence} has another size`);
      const content = Buffer.alloc(truth.length);
      const all = { from: 0, to: pagesOf(disk.map) };
      for await (const one of salvageBlocks(chainData(this.chain), disk.map, all)) {
        if (one.kind === 'blocks') {
          for (const { block, bytes } of one.blocks) bytes.copy(content, block * BLOCK);
          continue;
        }
        const [first, count] = one.run;
        for (let block = first; block < first + count; block++) {
          const key = `${number}/${block}`;
          const place = places.get(key);
          if (!place || !this.hurt.has(place.pack))
            throw new Error(`block ${key} of point ${sequence} is lost: ${place?.pack} ${place?.ordinal}`);
          lost.add(key);
          truth.copy(content, block * BLOCK, block * BLOCK, (block + 1) * BLOCK);
        }
      }
      if (!truth.equals(content)) throw new Error(`disk ${uniqueId} of point ${sequence} reads wrongly`);
    }
    return lost;
  }
}
