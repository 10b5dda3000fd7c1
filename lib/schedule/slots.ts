import { type Calendar, type Flag, HoldfastError, joinFlags, REGION_ZONE } from '../model/index.ts';
import { type TimesOfDay, timesOfDay } from './times.ts';
import { type WallClock, wallClock } from './wallClock.ts';
import { openMinutes } from './window.ts';

/** A moment at which a calendar is due. Schedules that meet at one moment make one slot. */
export interface Slot {
  readonly at: Date;
  readonly makes: 'snapshot' | 'backup';
  /** Flags of the snapshot: those of all schedules that meet here. */
  readonly flags: readonly Flag[];
  /** Flags of the restore point: those of the schedules that make backups. Empty when none does. */
  readonly backupFlags: readonly Flag[];
  /** Which schedules, by their place in the calendar. */
  readonly schedules: readonly number[];
}

/** Long enough for every rule that ever comes due: 29 February with `skip` comes again within eight years. */
const HORIZON_DAYS = 3000;

interface Reader {
  readonly clock: WallClock;
  readonly times: readonly TimesOfDay[];
}

export function zoneOf(calendar: Pick<Calendar, 'timeZone'>): string {
  if (calendar.timeZone !== REGION_ZONE) return calendar.timeZone;
  throw new HoldfastError(
    'invalidInput',
    'The calendar is in the time of each machine\'s region; say which region (lib/schedule: "inRegion").',
    { target: 'calendar.timeZone' },
  );
}

function readerOf(calendar: Calendar): Reader {
  return {
    clock: wallClock(zoneOf(calendar)),
    times: calendar.schedules.map((schedule) => timesOfDay(schedule, calendar.window)),
  };
}

/** All slots after an instant, in order, without end as far as the calendar has none within eight years. */
export function* slotsAfter(calendar: Calendar, after: Date): Generator<Slot, void, undefined> {
  const { clock, times } = readerOf(calendar);
  // A skip over the date line moves a slot by a day, so slots of the days before may still come.
  const first = clock.at(after).day - 2;
  const pending = new Map<number, number[]>();
  let quiet = 0;
  for (let day = first; quiet < HORIZON_DAYS; day++, quiet++) {
    // The window is asked about the time that the schedule names: a skipped slot is not lost at the window's end.
    const open = openMinutes(calendar.window, day);
    for (const [index, timesOn] of times.entries()) {
      for (const minute of timesOn(day)) {
        if (!open(minute)) continue;
        const at = clock.instantOf(day, minute);
        if (at <= after.getTime()) continue;
        const schedules = pending.get(at) ?? [];
        if (!schedules.includes(index)) schedules.push(index);
        pending.set(at, schedules);
      }
    }
    if (pending.size === 0) continue;
    const settled = clock.instantOf(day + 1, 0);
    for (const at of [...pending.keys()].sort((a, b) => a - b)) {
      if (at >= settled) break;
      yield slotOf(calendar, at, pending.get(at) ?? []);
      pending.delete(at);
    }
    quiet = 0;
  }
}

function slotOf(calendar: Calendar, at: number, indexes: number[]): Slot {
  const schedules = [...indexes].sort((a, b) => a - b);
  const meeting = schedules.flatMap((index) => calendar.schedules[index] ?? []);
  const backups = meeting.filter(({ makes }) => makes === 'backup');
  return {
    at: new Date(at),
    makes: backups.length > 0 ? 'backup' : 'snapshot',
    flags: joinFlags(...meeting.map(({ flags }) => flags)),
    backupFlags: joinFlags(...backups.map(({ flags }) => flags)),
    schedules,
  };
}

/** The slots in `(after, until]`. */
export function slotsBetween(calendar: Calendar, after: Date, until: Date): Slot[] {
  const slots: Slot[] = [];
  for (const slot of slotsAfter(calendar, after)) {
    if (slot.at > until) break;
    slots.push(slot);
  }
  return slots;
}

/** The next `count` slots after `from`: what a person is shown. */
export const nextCalendarSlots = (calendar: Calendar, from: Date, count: number): Slot[] =>
  slotsAfter(calendar, from).take(count).toArray();

/** One slot for several: at the newest one's time, with everything that any of them was for. */
export function uniteSlots(slots: readonly Slot[]): Slot | null {
  const newest = slots.at(-1);
  if (!newest) return null;
  return {
    at: newest.at,
    makes: slots.some(({ makes }) => makes === 'backup') ? 'backup' : 'snapshot',
    flags: joinFlags(...slots.map(({ flags }) => flags)),
    backupFlags: joinFlags(...slots.map(({ backupFlags }) => backupFlags)),
    schedules: [...new Set(slots.flatMap(({ schedules }) => schedules))].sort((a, b) => a - b),
  };
}

/**
 * What a machine is owed at `now`: everything since its last restore point, as one slot, so that a weekly flag is not lost
 * with the run that failed. Null when nothing came due.
 *
 * @param since the slot of the machine's last good run, or when it joined the policy
 */
export const owedSlot = (calendar: Calendar, since: Date, now: Date): Slot | null =>
  uniteSlots(slotsBetween(calendar, since, now));
