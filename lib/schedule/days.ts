import { type DayOfMonth, type Days, WEEKDAYS, type Weekday } from '../model/index.ts';

/**
 * Days of the calendar by number: days since 1970-01-01, without any time zone. The rules for which days a schedule means
 * are decided here; what instant a time of such a day is, `wallClock.ts` knows.
 */
export type DayNumber = number;

const DAY_MS = 86_400_000;
const NTH = { first: 0, second: 1, third: 2, fourth: 3 } as const;

interface DateParts {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** 1 to 31. */
  readonly day: number;
}

export function datePartsOf(day: DayNumber): DateParts {
  const date = new Date(day * DAY_MS);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

const dayNumber = (year: number, month: number, day: number): DayNumber =>
  Date.UTC(year, month - 1, day) / DAY_MS;

/** `2026-05-01`. */
export const isoDate = (day: DayNumber): string => new Date(day * DAY_MS).toISOString().slice(0, 10);

/** 0 is Monday. 1970-01-01 was a Thursday. */
const weekdayIndexOf = (day: DayNumber): number => (((day + 3) % 7) + 7) % 7;

const weekdayOf = (day: DayNumber): Weekday => WEEKDAYS[weekdayIndexOf(day)] ?? 'monday';

export function isOneOf(days: Days, day: DayNumber): boolean {
  if (days === 'every') return true;
  if (days === 'weekdays') return weekdayIndexOf(day) < 5;
  return days.includes(weekdayOf(day));
}

const lastDayOf = (year: number, month: number): DayNumber => dayNumber(year, month + 1, 0);

/** The day that a rule names in a month; null when the month has none. */
export function dayInMonth(rule: DayOfMonth, year: number, month: number): DayNumber | null {
  const last = lastDayOf(year, month);
  if (rule === 'lastDay') return last;
  if (rule === 'lastWeekday') return last - Math.max(0, weekdayIndexOf(last) - 4);
  if ('day' in rule) {
    const day = dayNumber(year, month, 1) + rule.day - 1;
    if (day <= last) return day;
    return rule.ifMissing === 'lastDay' ? last : null;
  }
  const wanted = WEEKDAYS.indexOf(rule.weekday);
  if (rule.nth === 'last') return last - ((weekdayIndexOf(last) - wanted + 7) % 7);
  const first = dayNumber(year, month, 1);
  return first + ((wanted - weekdayIndexOf(first) + 7) % 7) + 7 * NTH[rule.nth];
}
