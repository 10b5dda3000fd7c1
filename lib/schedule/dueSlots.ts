import type { Calendar } from '../model/index.ts';
import { type CronSchedule, parseSchedule } from './cron.ts';
import { nextCalendarSlots, type Slot, slotsAfter, uniteSlots, zoneOf } from './slots.ts';
import { wallClock } from './wallClock.ts';
import { isOpen } from './window.ts';

export interface DueSlots {
  /** The newest slot in `(since, now]`: the one to run. Null when none came due. */
  readonly due: Date | null;
  /** Older slots of the same stretch, oldest first: recorded as missed, not run. */
  readonly missed: readonly Date[];
  /** True when `due` is older than the grace: it runs late, and says so. */
  readonly late: boolean;
}

export interface DueCalendarSlots {
  /** The slot to run: the newest in `(since, now]`, with the flags of those it stands in for. Null when none is to run now. */
  readonly due: Slot | null;
  /** The older ones, oldest first: recorded as missed, not run. */
  readonly missed: readonly Slot[];
  /** Still older ones that a long stop left behind, beyond what is worth a record each. Their flags are in `due`. */
  readonly unlisted: number;
  /** True when `due` is older than the grace, or stands in for missed ones. */
  readonly late: boolean;
  /** Slots that came due, and wait for the window to open. Ask again with the same `since`. */
  readonly waiting: number;
}

/** After a long stop only this many slots are recorded as missed one by one; the gap itself shows in the list of runs. */
const MAX_SLOTS = 1000;
const GRACE_MS = 2 * 60_000;

/**
 * The slots that came due after `since` and up to `now`. After downtime they coalesce: the newest runs, late, with the flags
 * of all; the others are missed. Nothing starts late outside the window: then the slots wait for its next opening.
 *
 * @param since the newest slot that was run or recorded, never merely the last time of asking: waiting slots would be lost
 */
export function dueCalendarSlots(calendar: Calendar, since: Date, now: Date): DueCalendarSlots {
  const slots: Slot[] = [];
  for (const slot of slotsAfter(calendar, since)) {
    if (slot.at > now) break;
    slots.push(slot);
  }
  const due = uniteSlots(slots);
  if (due === null) return { due, missed: [], unlisted: 0, late: false, waiting: 0 };
  const overdue = now.getTime() - due.at.getTime() > GRACE_MS;
  if (overdue && !isOpen(calendar.window, wallClock(zoneOf(calendar)).at(now))) {
    return { due: null, missed: [], unlisted: 0, late: false, waiting: slots.length };
  }
  const older = slots.slice(0, -1);
  const missed = older.slice(-MAX_SLOTS);
  return {
    due,
    missed,
    unlisted: older.length - missed.length,
    late: overdue || older.length > 0,
    waiting: 0,
  };
}

/** As `dueCalendarSlots`, of a single cron. */
export function dueSlots(schedule: CronSchedule, since: Date, now: Date): DueSlots {
  const { due, missed } = dueCalendarSlots(calendarOf(schedule), since, now);
  return {
    due: due?.at ?? null,
    missed: missed.map(({ at }) => at),
    late: due !== null && now.getTime() - due.at.getTime() > GRACE_MS,
  };
}

/** The next `count` slots of a single cron after `from`: what a person is shown. */
export const nextSlots = (schedule: CronSchedule, from: Date, count: number): Date[] =>
  nextCalendarSlots(calendarOf(schedule), from, count).map(({ at }) => at);

/** A single cron as a calendar. */
function calendarOf(schedule: CronSchedule): Calendar {
  parseSchedule(schedule);
  return {
    timeZone: schedule.timeZone,
    schedules: [{ every: 'cron', cron: schedule.cron, makes: 'backup', flags: ['daily'] }],
    window: null,
    staggerMinutes: 0,
  };
}
