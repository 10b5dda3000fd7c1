import type { Clock } from '../../model/index.ts';
import { type Chain, chainData, openChain } from '../chain.ts';
import { chainIds, checkDocuments } from '../check.ts';
import { checkChain } from '../checkChain.ts';
import { damageIn, examineHere, examinePack } from '../checkContent.ts';
import { CheckReport, type Finding } from '../checkReport.ts';
import { MapObjects } from '../mapObjects.ts';
import { mapName, packsPrefix, parsePackName, verifiedName } from '../names.ts';
import { PackGenerations } from '../packGenerations.ts';
import type { Repository } from '../repository.ts';
import { type DamagedPoint, markDamage } from './markDamage.ts';
import {
  advance,
  endRound,
  NOTHING_VERIFIED,
  readVerified,
  type StoredVerified,
  type Verified,
  verifiedAt,
  writeVerified,
} from './record.ts';

/** Ends a run: the first that is reached. What was begun is finished: a run covers at least one pack. */
export interface VerifyBudget {
  readonly ms?: number | undefined;
  /** Bytes of packs that are read. */
  readonly bytes?: number | undefined;
}

/** Counters of the states of a chain's points, by number, that the caller remembers: `remembered` of `markDamage`. */
export type RememberedStates = (chain: string) => Promise<ReadonlyMap<number, number>>;

export interface RollingVerify {
  readonly clock: Clock;
  readonly budget: VerifyBudget;
  /** Leave out what was verified within so many milliseconds. */
  readonly freshMs?: number | undefined;
  readonly remembered?: RememberedStates | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each pack object, in the order in which they are verified. */
  readonly onPack?: ((name: string) => void) | undefined;
}

export interface RollingResult {
  readonly findings: readonly Finding[];
  readonly damaged: readonly DamagedPoint[];
  readonly spoiled: readonly string[];
  readonly packs: number;
  readonly blocks: number;
  readonly bytes: number;
  /** Everything there is was verified since the run began (or is fresh enough). */
  readonly complete: boolean;
}

/** What is covered is recorded at least after so many bytes, so that a run that dies is not for nothing. */
const SAVE_BYTES = 4 * 1024 ** 3;
/** Suspects are looked into together, and before there are more. */
const SUSPECTS_AT_ONCE = 200;

/** One chain's place in the rotation. */
interface Lane {
  readonly id: string;
  /** When what comes next was last verified; -Infinity: never. */
  age: number;
}

/**
 * Verifies packs, the least recently verified first, until the budget is spent. Within a chain: round after round in the
 * order of names, which is the order of writing, so that what was never verified follows what was verified in the round
 * before (it was decoded and compared when it was written). Between chains: what was never verified, then the one whose turn
 * is oldest. A round of a chain begins with a check of its structure, which also tells what is missing. The record is stored
 * after damage is marked: a run that dies verifies again, and forgets nothing.
 */
export async function verifyRolling(repository: Repository, request: RollingVerify): Promise<RollingResult> {
  const run = new RollingRun(repository, request);
  const chains = await chainIds(repository.meta, request.signal);
  await run.documents(chains);
  const lanes: Lane[] = [...chains].map((id) => ({ id, age: -Infinity }));
  for (const lane of lanes) lane.age = await run.ageOf(lane.id);
  while (!run.spent) {
    const lane = lanes.reduce<Lane | null>(
      (oldest, one) => (oldest && oldest.age <= one.age ? oldest : one),
      null,
    );
    if (!lane || lane.age >= run.freshSince) break;
    lane.age = await run.work(lane.id);
  }
  return run.result(lanes.every(({ age }) => age >= run.freshSince));
}

class RollingRun {
  readonly freshSince: number;
  readonly #repository: Repository;
  readonly #request: RollingVerify;
  readonly #started: number;
  readonly #report = new CheckReport();
  readonly #damaged = new Map<string, DamagedPoint>();
  readonly #spoiled = new Set<string>();
  #bytes = 0;

  constructor(repository: Repository, request: RollingVerify) {
    this.#repository = repository;
    this.#request = request;
    this.#started = request.clock.now().getTime();
    this.freshSince = this.#started - (request.freshMs ?? 0);
  }

  get spent(): boolean {
    const { budget, clock, signal } = this.#request;
    signal?.throwIfAborted();
    if (this.#report.packs === 0) return false;
    return (
      this.#bytes >= (budget.bytes ?? Infinity) ||
      clock.now().getTime() - this.#started >= (budget.ms ?? Infinity)
    );
  }

  result(complete: boolean): RollingResult {
    const { findings, packs, blocks } = this.#report.result();
    return {
      findings,
      damaged: [...this.#damaged.values()],
      spoiled: [...this.#spoiled],
      packs,
      blocks,
      bytes: this.#bytes,
      complete,
    };
  }

  documents(chains: Iterable<string>): Promise<void> {
    return checkDocuments(this.#repository, this.#report, { chains, signal: this.#request.signal });
  }

  /** When what comes next in a chain was last verified. */
  async ageOf(id: string): Promise<number> {
    const chain = await this.#report.guard(() => openChain(this.#repository, id));
    if (!chain) return Infinity;
    const record = (await this.#record(chain)) ?? NOTHING_VERIFIED;
    return nextAge(record);
  }

  /** A record that cannot be read is as good as none: everything is verified again. */
  async #record(chain: Chain): Promise<StoredVerified | null> {
    return this.#report.guard(() => readVerified(chain, this.#request.signal));
  }

  /** Verifies a stretch of a chain: as far as it is of one age. Returns the age of what comes next. */
  async work(id: string): Promise<number> {
    const { signal, clock } = this.#request;
    const chain = await openChain(this.#repository, id);
    const stretch = await this.#begin(chain);
    let stretchAge: number | null | undefined;
    let unsaved = 0;
    /** Age of the pack before which the stretch ended; null: it ended with the last one. */
    let next: number | null = null;
    for await (const { name } of this.#repository.data.list(packsPrefix(id), { signal })) {
      if (stretch.verified.cursor !== null && name <= stretch.verified.cursor) continue;
      const age = verifiedAt(stretch.verified, name)?.getTime() ?? null;
      if (stretchAge === undefined) stretchAge = age;
      if (this.spent || age !== stretchAge || (age ?? -Infinity) >= this.freshSince) {
        next = age ?? -Infinity;
        break;
      }
      const before = this.#bytes;
      await this.#pack(stretch, name);
      unsaved += this.#bytes - before;
      stretch.verified = advance(stretch.verified, name, stretch.at);
      if (unsaved >= SAVE_BYTES || stretch.suspects.size >= SUSPECTS_AT_ONCE) {
        if (!(await this.#save(stretch))) return Infinity;
        stretch.at = clock.now();
        unsaved = 0;
      }
    }
    if (next === null) stretch.verified = endRound(stretch.verified);
    if (!(await this.#save(stretch))) return Infinity;
    if (next !== null) return next;
    return stretch.verified.marks.length === 0 ? Infinity : nextAge(stretch.verified);
  }

  async #begin(chain: Chain): Promise<Stretch> {
    const { signal, clock } = this.#request;
    let stored: StoredVerified | null = null;
    try {
      stored = await readVerified(chain, signal);
    } catch (error) {
      damageIn(error);
      await chain.repository.meta.remove(verifiedName(chain.id), undefined, { signal });
    }
    const maps = new MapObjects(chainData(chain));
    const stretch: Stretch = {
      chain,
      maps,
      generations: new PackGenerations(chainData(chain), maps),
      stored,
      verified: stored ?? NOTHING_VERIFIED,
      suspects: new Set(),
      at: clock.now(),
    };
    if (stretch.verified.cursor === null) {
      const structure = new CheckReport();
      await checkChain(
        this.#repository,
        chain.id,
        { depth: 'structure', examiner: examineHere },
        structure,
        signal,
      );
      for (const { object, problem, points } of structure.result().findings) {
        this.#report.found(object, problem, points);
        stretch.suspects.add(object);
      }
    }
    return stretch;
  }

  async #pack({ chain, generations, suspects }: Stretch, name: string): Promise<void> {
    const { signal, onPack } = this.#request;
    const parsed = parsePackName(name);
    if (!parsed) return;
    try {
      const exam = await examinePack(
        chain,
        await generations.open(parsed.id, parsed.generation, signal),
        signal,
      );
      this.#bytes += exam.bytes;
      this.#report.blocks += exam.blocks;
      if (exam.problem) suspects.add(name);
    } catch (error) {
      const { code, target = name } = damageIn(error);
      // A pack without a map object is a leftover of an attempt that died: had a point needed it, the check of the
      // structure that the round began with would have named the map object.
      if (code !== 'missingObject' || target !== mapName(chain.id, parsed.id)) {
        suspects.add(name);
        suspects.add(target);
      }
    }
    this.#report.packs++;
    onPack?.(name);
  }

  /** False: somebody else verifies this chain at the same time, and is further. */
  async #save(stretch: Stretch): Promise<boolean> {
    const { clock, signal } = this.#request;
    const { chain, suspects } = stretch;
    const remembered = await this.#request.remembered?.(chain.id);
    const marked = await markDamage(chain, suspects, { now: clock.now(), remembered, signal });
    const { findings, damaged, spoiled } = marked;
    for (const { object, problem, points } of findings) {
      // What no point needs is garbage: its damage is nobody's.
      if (points.length > 0 || spoiled.includes(object)) this.#report.found(object, problem, points);
    }
    for (const name of spoiled) this.#spoiled.add(name);
    for (const point of damaged) this.#damaged.set(`${point.chain}/${point.sequence}`, point);
    suspects.clear();
    const { cursor, marks } = stretch.verified;
    stretch.stored = await writeVerified(chain, { cursor, marks }, stretch.stored, signal);
    return stretch.stored !== null;
  }
}

interface Stretch {
  readonly chain: Chain;
  readonly maps: MapObjects;
  readonly generations: PackGenerations;
  stored: StoredVerified | null;
  verified: Verified;
  readonly suspects: Set<string>;
  /** When its first pack was verified: what the record says of all of them. */
  at: Date;
}

/** When what comes next was verified. Behind the last mark lies what never was; what is there is seen when it is listed. */
function nextAge({ cursor, marks }: Verified): number {
  const next = marks.find(({ upTo }) => cursor === null || upTo > cursor);
  return next ? Date.parse(next.at) : -Infinity;
}
