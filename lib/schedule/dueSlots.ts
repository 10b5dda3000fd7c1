import { type CronSchedule, parseSchedule } from './cron.ts';

export interface DueSlots {
  /** The newest slot in `(since, now]`: the one to run. Null when none came due. */
  readonly due: Date | null;
  /** Older slots of the same stretch, oldest first: recorded as missed, not run. */
  readonly missed: readonly Date[];
  /** True when `due` is older than the grace: it runs late, and says so. */
  readonly late: boolean;
}

/** After a long stop only this many slots are recorded as missed one by one; the gap itself shows in the list of runs. */
const MAX_SLOTS = 1000;
const GRACE_MS = 2 * 60_000;

/**
 * The slots that came due after `since` and up to `now`. After downtime they coalesce: the newest runs, the rest is missed.
 */
export function dueSlots(schedule: CronSchedule, since: Date, now: Date): DueSlots {
  const cron = parseSchedule(schedule);
  const slots: Date[] = [];
  for (let from = since; ; ) {
    const next = cron.nextRun(from);
    if (!next || next > now) break;
    slots.push(next);
    if (slots.length > MAX_SLOTS) slots.shift();
    from = next;
  }
  const due = slots.pop() ?? null;
  return { due, missed: slots, late: due !== null && now.getTime() - due.getTime() > GRACE_MS };
}

/** The next `count` slots after `from`: what a person is shown. */
export const nextSlots = (schedule: CronSchedule, from: Date, count: number): Date[] =>
  parseSchedule(schedule).nextRuns(count, from);
