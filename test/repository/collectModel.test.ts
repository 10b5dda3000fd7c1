import { expect, test } from 'vitest';
import { compactPack } from '../../lib/repository/collect/compact.ts';
import {
  type CheckResult,
  type CollectionPlan,
  type CompactionPlan,
  collect,
  createLease,
  type Damaged,
  type PointManifest,
  planCollection,
  planCompaction,
  readPoint,
  releaseLease,
  renewLease,
  takeOwnership,
  voidClaim,
} from '../../lib/repository/index.ts';
import type { Prepared } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { CollectLab, HOUR, OWNER } from './collectLab.ts';

/** More of them: `HOLDFAST_STEPS=5000 npx vitest run test/repository/collectModel.test.ts`. */
const STEPS = Number(process.env['HOLDFAST_STEPS'] ?? 120);
const SEEDS = process.env['HOLDFAST_SEED'] ? [Number(process.env['HOLDFAST_SEED'])] : [1, 2, 3];
const MAX_POINTS = 5;
const SECTORS = 2600;

/** A reader under a lease: what it began to read must stay as it was, removed or not. */
interface Reader {
  readonly lease: string;
  readonly manifest: PointManifest;
  readonly content: Buffer;
}

/** What is left at the end that should not be. */
interface Settled extends Pick<CheckResult, 'findings' | 'garbage'> {
  readonly damage: readonly Damaged[];
  readonly toCompact: CompactionPlan['packs'];
}

/** Mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Random schedules of everything that may happen to a chain, against the snapshots themselves. */
class Schedule {
  readonly counts = new Map<string, number>();
  readonly #lab: CollectLab;
  readonly #random: () => number;
  readonly #disk = new ModelDisk('os', SECTORS);
  #pending: Prepared[] = [];
  #readers: Reader[] = [];
  #collections: CollectionPlan[] = [];
  #compactions: CompactionPlan[] = [];
  #owner = OWNER;

  constructor(lab: CollectLab, seed: number) {
    this.#lab = lab;
    this.#random = randomFrom(seed);
    this.#disk.write(0, SECTORS / 2, 3);
  }

  readonly #steps: Record<string, { weight: number; run: () => Promise<boolean | void> }> = {
    backup: { weight: 5, run: () => this.#backup('changedBlocks') },
    wholeRead: { weight: 2, run: () => this.#backup('scheduled') },
    beginSession: {
      weight: 2,
      run: async () => {
        if (this.#pending.length > 1) return false;
        this.#change();
        this.#pending.push(await this.#lab.lab.prepare([this.#disk], { random: this.#random }));
      },
    },
    endSession: {
      weight: 1.5,
      run: async () => {
        const prepared = this.#take(this.#pending);
        if (!prepared) return false;
        if (this.#random() < 0.6) await this.#lab.lab.commit(prepared);
        else await this.#void(prepared);
      },
    },
    remove: {
      weight: 5,
      run: async () => {
        const sequences = [...this.#lab.lab.truth.keys()];
        // The newest is the parent of what is under way.
        const sequence = this.#random() < 0.4 ? sequences.at(-1) : this.#pick(sequences);
        if (sequence === undefined) return false;
        await this.#lab.remove(sequence);
      },
    },
    wait: { weight: 5, run: () => this.#wait(this.#random() * 40 * HOUR) },
    beginReading: { weight: 2, run: () => this.#beginReading() },
    endReading: {
      weight: 2,
      run: async () => {
        const reader = this.#take(this.#readers);
        if (!reader) return false;
        await this.#mustRead(reader);
        await releaseLease(this.#lab.chain.repository, reader.lease);
      },
    },
    collect: { weight: 6, run: async () => void (await this.#lab.collect(this.#owner)) },
    compact: { weight: 5, run: async () => void (await this.#lab.compact(this.#owner)) },
    planOnly: {
      weight: 3,
      run: async () => {
        this.#collections.push(await planCollection(this.#lab.chain));
        this.#compactions.push(await planCompaction(this.#lab.chain, { minWasteBytes: 1 }));
      },
    },
    lateCollector: {
      weight: 3,
      run: async () => {
        const plan = this.#take(this.#collections);
        if (!plan) return false;
        await this.#late(plan);
      },
    },
    lateCompactor: {
      weight: 3,
      run: async () => {
        const plan = this.#take(this.#compactions);
        if (!plan) return false;
        for (const pack of plan.packs) await compactPack(this.#lab.chain, pack);
      },
    },
    takeOver: {
      weight: 1,
      run: async () => {
        this.#owner = this.#owner === OWNER ? 'other' : OWNER;
        const now = this.#lab.time.at;
        const taking = { installation: this.#owner, now, takeOver: true };
        await takeOwnership(this.#lab.chain.repository, taking);
      },
    },
  };

  async step(): Promise<void> {
    const all = Object.entries(this.#steps);
    let at = this.#random() * all.reduce((sum, [, { weight }]) => sum + weight, 0);
    for (const [name, { weight, run }] of all) {
      at -= weight;
      if (at > 0) continue;
      if ((await run()) !== false) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      break;
    }
    while (this.#lab.lab.truth.size > MAX_POINTS) {
      const sequence = this.#pick([...this.#lab.lab.truth.keys()]);
      if (sequence !== undefined) await this.#lab.remove(sequence);
    }
    await this.#lab.mustHold();
    for (const reader of this.#readers) await this.#mustRead(reader);
  }

  /** Nobody uses anything any more: after a day, a cycle, and another day for compacted packs, all that is left is needed. */
  async settle(): Promise<Settled> {
    for (const prepared of this.#pending.splice(0)) await this.#void(prepared);
    for (const { lease } of this.#readers.splice(0)) await releaseLease(this.#lab.chain.repository, lease);
    const damage: Damaged[] = [];
    for (let cycle = 0; cycle < 3; cycle++) {
      this.#lab.time.advance(25 * HOUR);
      damage.push(...(await this.#lab.collect(this.#owner)).damage);
      if (cycle < 2) damage.push(...(await this.#lab.compact(this.#owner)).done.damage);
    }
    await this.#lab.mustHold();
    const { findings, garbage } = await this.#lab.check();
    const { packs } = await planCompaction(this.#lab.chain, { minWasteBytes: 1 });
    return { damage, findings, garbage, toCompact: packs };
  }

  #change(): void {
    for (let i = 0; i < 4; i++) {
      const first = Math.floor(this.#random() * (SECTORS - 300));
      const count = 1 + Math.floor(this.#random() * 250);
      if (this.#random() < 0.2) this.#disk.discard(first, count);
      else this.#disk.write(first, count, 1 + Math.floor(this.#random() * 9999));
    }
  }

  async #backup(reason: 'changedBlocks' | 'scheduled'): Promise<void> {
    this.#change();
    await this.#lab.lab.backup([this.#disk], { reason, random: this.#random });
  }

  async #void({ claim: { sequence } }: Prepared): Promise<void> {
    const now = this.#lab.time.at;
    await voidClaim(this.#lab.chain, { sequence, by: 'test', now, because: 'sessionEnded' });
  }

  async #wait(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50 * 60_000) {
      this.#lab.time.advance(Math.min(left, 50 * 60_000));
      for (const { lease } of this.#readers) await renewLease(this.#lab.chain.repository, lease);
    }
  }

  async #beginReading(): Promise<boolean> {
    const sequence = this.#pick([...this.#lab.lab.truth.keys()]);
    if (sequence === undefined || this.#readers.length > 2) return false;
    const { chain } = this.#lab;
    const lease = await createLease(chain.repository, {
      kind: 'reader',
      chain: chain.id,
      sequence,
      by: 'test',
    });
    const { manifest } = await readPoint(chain, sequence);
    const { content } = this.#lab.snapshotOf(sequence, this.#disk);
    this.#readers.push({ lease: lease.name, manifest, content });
    return true;
  }

  async #mustRead({ manifest, content }: Reader): Promise<void> {
    if (!content.equals(await this.#lab.read(manifest, this.#disk.uniqueId)))
      throw new Error(`a reader with a lease on ${manifest.sequence} reads something else`);
  }

  /** Properly, and then like one that fell asleep inside a batch: no fence stops it any more. */
  async #late(plan: CollectionPlan): Promise<void> {
    const { chain } = this.#lab;
    await collect(chain, plan, { installation: OWNER }).catch(() => undefined);
    for (const { store, name, etag } of plan.garbage)
      await chain.repository[store].remove(name, etag).catch(() => undefined);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  #take<T>(list: T[]): T | undefined {
    return list.splice(Math.floor(this.#random() * list.length), 1)[0];
  }
}

const seen = new Map<string, number>();

test.each(SEEDS)(
  'whatever happens in whatever order, retained points and leased ones read as they were, and what is dead goes (seed %i)',
  async (seed) => {
    const schedule = new Schedule(await CollectLab.start(), seed);
    for (let step = 0; step < STEPS; step++) await schedule.step();
    expect(await schedule.settle()).toEqual({ damage: [], findings: [], garbage: [], toCompact: [] });
    for (const [name, count] of schedule.counts) seen.set(name, (seen.get(name) ?? 0) + count);
  },
  600_000,
);

test('the schedules did everything that they can do', () => {
  const steps = ['lateCollector', 'lateCompactor', 'takeOver', 'endSession', 'endReading', 'compact'];
  expect(steps.filter((step) => !seen.has(step))).toEqual([]);
});
