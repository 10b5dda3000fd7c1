import type { Calendar } from '../model/index.ts';
import { type Slot, slotsAfter, slotsBetween } from '../schedule/index.ts';

/**
 * `protected`: the newest slot that had its time has its point. `late`: it has none. `waiting`: no slot came due since the
 * machine joined, and there is no point yet. `none`: no policy backs it up.
 */
export type CoverageState = 'protected' | 'late' | 'waiting' | 'none';

export interface CoverageFacts {
  /** The policy that the machine belongs to, with its calendar in the machine's zone; null when it is in none. */
  readonly policy: {
    readonly id: string;
    readonly enabled: boolean;
    readonly calendar: Calendar | null;
  } | null;
  /** When the machine joined that policy, as far as known; slots before do not count. */
  readonly joinedAt: Date;
  /** When its usable points were taken: restore points, or snapshots where the policy makes nothing else. */
  readonly takenAt: readonly Date[];
}

export interface Coverage {
  readonly state: CoverageState;
  /** For a person. */
  readonly why: string;
  /** The slot that a late machine has no point for. */
  readonly missed: Date | null;
  /** Age of the newest point in seconds; null without one. */
  readonly rpoSeconds: number | null;
}

/** A slot has until the next one, and at most so long, to show its point. */
const PATIENCE_MS = 4 * 3_600_000;
const DAY_MS = 86_400_000;
/** Looked through backwards until a slot is found: most calendars have one within days, the yearly within a leap cycle. */
const LOOK_BACK_DAYS = [3, 40, 400, 3000];

/** Is this machine protected as its policy promises, at `now`? */
export function coverageOf(facts: CoverageFacts, now: Date, patienceMs: number = PATIENCE_MS): Coverage {
  const { policy, takenAt } = facts;
  const newest = takenAt.length > 0 ? Math.max(...takenAt.map((at) => at.getTime())) : null;
  const rpoSeconds = newest === null ? null : Math.max(0, now.getTime() - newest) / 1000;
  const say = (state: CoverageState, why: string, missed: Date | null = null): Coverage => ({
    state,
    why,
    missed,
    rpoSeconds,
  });
  if (policy === null) return say('none', 'in no policy');
  if (!policy.enabled) return say('none', `policy ${policy.id} is disabled`);
  if (policy.calendar === null) return say('none', `policy ${policy.id} has no schedule`);
  const calendar = policy.calendar;
  const slot = lastSettled(calendar, facts.joinedAt, now, patienceMs);
  if (slot !== null && (newest === null || newest < slot.at.getTime())) {
    return say('late', `no point since the slot of ${slot.at.toISOString()}`, slot.at);
  }
  if (newest !== null) return say('protected', `a point of ${new Date(newest).toISOString()}`);
  const next = slotsAfter(calendar, now).find(promisedBy(calendar));
  return say('waiting', next ? `first slot at ${next.at.toISOString()}` : 'its calendar has no slot');
}

/** What counts are backups; only where a calendar makes none, snapshots. */
function promisedBy(calendar: Calendar): (slot: Slot) => boolean {
  const promise = calendar.schedules.some(({ makes }) => makes === 'backup') ? 'backup' : 'snapshot';
  return ({ makes }) => makes === promise;
}

/** The newest slot of what the calendar promises that had its time; null when there is none since the machine joined. */
function lastSettled(calendar: Calendar, joinedAt: Date, now: Date, patienceMs: number): Slot | null {
  const counts = promisedBy(calendar);
  const staggerMs = calendar.staggerMinutes * 60_000;
  for (const days of LOOK_BACK_DAYS) {
    const reach = now.getTime() - days * DAY_MS;
    const from = new Date(Math.max(reach, joinedAt.getTime() - 1));
    const slots = slotsBetween(calendar, from, now).filter(counts);
    const following = slotsAfter(calendar, now).find(counts);
    for (let i = slots.length - 1; i >= 0; i--) {
      const slot = slots[i];
      if (slot === undefined) continue;
      const next = slots[i + 1] ?? following;
      const untilNext = next ? next.at.getTime() - slot.at.getTime() : patienceMs;
      if (slot.at.getTime() + Math.min(patienceMs, untilNext) + staggerMs <= now.getTime()) return slot;
    }
    if (reach <= joinedAt.getTime()) return null;
  }
  return null;
}

/** How many machines are in which state. */
export function countCoverage(all: readonly Pick<Coverage, 'state'>[]): Record<CoverageState, number> {
  const counts = { protected: 0, late: 0, waiting: 0, none: 0 };
  for (const { state } of all) counts[state]++;
  return counts;
}
