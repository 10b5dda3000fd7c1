import { type SimulatedRetention, simulateRetention } from '../chain/index.ts';
import type { Calendar, Flag } from '../model/index.ts';
import { DAYS_PER_MONTH } from './growth.ts';

/** Points (or sets of snapshots) at the end of the time that was simulated. */
export interface Kept {
  /** How many are made in a month. */
  readonly perMonth: number;
  /** How many are there. */
  readonly count: number;
  /** Days between each and the next older one: one less than `count`. */
  readonly gapDays: readonly number[];
}

/** What a policy comes to for one machine. */
export interface Load {
  readonly snapshots: Kept;
  /** By name of the repository, each a chain of its own. */
  readonly repositories: ReadonlyMap<string, Kept>;
}

export interface LoadOf {
  /** In a zone that is named. */
  readonly calendar: Calendar;
  readonly retention: SimulatedRetention;
  /** The repositories that a backup with these flags goes to. */
  readonly destinations: (flags: readonly Flag[]) => readonly string[];
  readonly from: Date;
  readonly months: number;
}

const DAY_MS = 86_400_000;

/** Simulates the calendar and the retention for so many months: what is there at the end, and what the last month made. */
export function loadOf({ calendar, retention, destinations, from, months }: LoadOf): Load {
  const to = new Date(from.getTime() + months * DAYS_PER_MONTH * DAY_MS);
  const lastMonth = to.getTime() - DAYS_PER_MONTH * DAY_MS;
  const goesTo = new Map<number, readonly string[]>();
  const made = new Map<string, number>();
  let snapshots = 0;
  let stays: readonly { kind: string; takenAt: Date }[] = [];
  for (const day of simulateRetention(calendar, retention, from, to)) {
    for (const slot of day.made) {
      const counts = slot.at.getTime() >= lastMonth;
      if (counts) snapshots++;
      if (slot.makes !== 'backup') continue;
      const repositories = destinations(slot.backupFlags);
      goesTo.set(slot.at.getTime(), repositories);
      for (const one of repositories) made.set(one, (made.get(one) ?? 0) + (counts ? 1 : 0));
    }
    ({ stays } = day);
  }
  const times = (kind: string): number[] =>
    stays.filter((item) => item.kind === kind).map(({ takenAt }) => takenAt.getTime());
  const points = times('restorePoint');
  return {
    snapshots: kept(snapshots, times('snapshot')),
    repositories: new Map(
      [...made].map(([repository, perMonth]) => [
        repository,
        kept(
          perMonth,
          points.filter((at) => goesTo.get(at)?.includes(repository)),
        ),
      ]),
    ),
  };
}

function kept(perMonth: number, times: readonly number[]): Kept {
  const ascending = times.toSorted((a, b) => a - b);
  const gapDays = ascending.slice(1).map((at, i) => (at - (ascending[i] ?? at)) / DAY_MS);
  return { perMonth, count: times.length, gapDays };
}
