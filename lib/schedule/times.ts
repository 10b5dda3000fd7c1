import type { Cron } from 'croner';
import type { BackupWindow, Schedule } from '../model/index.ts';
import { parseSchedule } from './cron.ts';
import { type DayNumber, datePartsOf, dayInMonth, isOneOf } from './days.ts';
import { minuteOf, spansOn } from './window.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const DAY_MINUTES = 1440;

/** The times of a day at which a schedule is due, in minutes since midnight by the wall clock, ascending, each once. */
export type TimesOfDay = (day: DayNumber) => readonly number[];

const NONE: readonly number[] = [];
const ascending = (minutes: Iterable<number>): number[] => [...new Set(minutes)].sort((a, b) => a - b);

/** Reads a schedule once, for asking about many days. The window is where an interval has its beginnings. */
export function timesOfDay(schedule: Schedule, window: BackupWindow | null): TimesOfDay {
  switch (schedule.every) {
    case 'hour': {
      const times = ascending(schedule.hours.flatMap((hour) => schedule.minutes.map((m) => hour * 60 + m)));
      return (day) => (isOneOf(schedule.days, day) ? times : NONE);
    }
    case 'day':
    case 'week': {
      const times = ascending(schedule.at.map(minuteOf));
      return (day) => (isOneOf(schedule.days, day) ? times : NONE);
    }
    case 'month':
    case 'year': {
      const times = ascending(schedule.at.map(minuteOf));
      const months = schedule.every === 'month' ? schedule.months : [schedule.month];
      return (day) => {
        const { year, month } = datePartsOf(day);
        return months.includes(month) && dayInMonth(schedule.on, year, month) === day ? times : NONE;
      };
    }
    case 'interval':
      return (day) => intervalTimes(schedule.minutes, window, day);
    case 'cron':
      return cronTimes(parseSchedule({ cron: schedule.cron, timeZone: 'UTC' }));
  }
}

function intervalTimes(step: number, window: BackupWindow | null, day: DayNumber): number[] {
  const spans = window === null ? [{ start: 0, end: DAY_MINUTES }] : spansOn(window, day);
  const times: number[] = [];
  for (const { start, end } of spans) {
    for (let time = start; time < end; time += step) if (time >= 0 && time < DAY_MINUTES) times.push(time);
  }
  return ascending(times);
}

/**
 * Days by croner, in a zone without changes of the clock; what becomes of a skipped or doubled time is decided once for all
 * kinds of schedules. (In a zone croner drops the skipped times of a pattern with a wildcard, and doubles the doubled.)
 * The minute and hour fields know nothing of the day, so each matching day has the same times.
 */
function cronTimes(cron: Cron): TimesOfDay {
  let times: readonly number[] | null = null;
  let next: { readonly asked: DayNumber; readonly found: DayNumber } | null = null;
  return (day) => {
    if (next === null || day < next.asked || day > next.found) {
      const run = cron.nextRun(new Date(day * DAY_MS - 1000));
      next = { asked: day, found: run ? Math.floor(run.getTime() / DAY_MS) : Number.POSITIVE_INFINITY };
    }
    if (day !== next.found) return NONE;
    times ??= timesWithin(cron, day);
    return times;
  };
}

/** Every hour has the same minutes, so those of the first are enough, and one look at each further hour. */
function timesWithin(cron: Cron, day: DayNumber): number[] {
  const begin = day * DAY_MS;
  const nextAfter = (from: number): number =>
    cron.nextRun(new Date(from))?.getTime() ?? Number.POSITIVE_INFINITY;
  const hours: number[] = [];
  const minutes: number[] = [];
  let run = nextAfter(begin - 1000);
  const firstHour = Math.floor(run / HOUR_MS);
  while (run < begin + DAY_MS) {
    const hour = Math.floor(run / HOUR_MS);
    if (hour === firstHour) minutes.push((run % HOUR_MS) / MINUTE_MS);
    if (hours.at(-1) !== hour) hours.push(hour);
    run = nextAfter(hour === firstHour ? run : (hour + 1) * HOUR_MS - 1000);
  }
  return hours.flatMap((hour) => minutes.map((minute) => (hour * HOUR_MS - begin) / MINUTE_MS + minute));
}
