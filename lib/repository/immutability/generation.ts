/**
 * Locks come in generations: everything that is written within ten days is locked to one date, so that an incremental finds
 * what it shares with the point before locked already, and only a new generation has to extend it.
 */
const DAY_MS = 86_400_000;
export const GENERATION_MS = 10 * DAY_MS;

export interface Generation {
  /** From 0, the one in which the chain began. */
  readonly index: number;
  readonly start: Date;
  /** The next one's start. */
  readonly end: Date;
}

/** The generation of a chain at `now`. Its generations begin at its founding, so that all chains do not turn on one day. */
export function generationAt(foundedAt: Date, now: Date): Generation {
  const index = Math.max(0, Math.floor((now.getTime() - foundedAt.getTime()) / GENERATION_MS));
  const start = new Date(foundedAt.getTime() + index * GENERATION_MS);
  return { index, start, end: new Date(start.getTime() + GENERATION_MS) };
}

/**
 * Until when a point that is committed at `now` is locked, and all that it depends on: `retentionDays` (whole days, from 1)
 * after the end of its generation. Whole seconds: storage keeps no finer date.
 */
export function lockDate(foundedAt: Date, now: Date, retentionDays: number): Date {
  if (!Number.isInteger(retentionDays) || retentionDays < 1)
    throw new RangeError(`An immutability period is a whole number of days from 1, not ${retentionDays}.`);
  const end = generationAt(foundedAt, now).end.getTime() + retentionDays * DAY_MS;
  return new Date(Math.ceil(end / 1000) * 1000);
}

/** What is known of an object's lock; null: it is not locked. Absent objects are not in the map. */
export type KnownLocks = ReadonlyMap<string, Date | null>;

export interface LockPlan {
  /** Objects to lock, or whose lock must be extended. */
  readonly extend: readonly string[];
  /** Objects that the point depends on and that are not there: it must not be committed. */
  readonly missing: readonly string[];
}

/** Which of the objects that a point depends on must be locked anew, so that all are locked until `until`. */
export function planLocks(needed: Iterable<string>, known: KnownLocks, until: Date): LockPlan {
  const extend: string[] = [];
  const missing: string[] = [];
  for (const name of needed) {
    const lock = known.get(name);
    if (lock === undefined) missing.push(name);
    else if (lock === null || lock.getTime() < until.getTime()) extend.push(name);
  }
  return { extend, missing };
}
