import type { BackupWindow } from '../model/index.ts';
import { type DayNumber, isOneOf } from './days.ts';
import type { WallTime } from './wallClock.ts';

const DAY_MINUTES = 1440;

/** A stretch of wall time in minutes since the midnight of one day; the end is exclusive, and may lie on the next day. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Minutes since midnight of `HH:MM`; 24:00 is 1440. */
export const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));

/** The spans that cover a part of a day, in minutes of that day: those that begin on it, and those of the day before. */
export function spansOn(window: BackupWindow, day: DayNumber): Span[] {
  const spans: Span[] = [];
  for (const { days, start, end } of window) {
    const from = minuteOf(start);
    const until = minuteOf(end) > from ? minuteOf(end) : minuteOf(end) + DAY_MINUTES;
    if (isOneOf(days, day)) spans.push({ start: from, end: until });
    if (until > DAY_MINUTES && isOneOf(days, day - 1)) {
      spans.push({ start: from - DAY_MINUTES, end: until - DAY_MINUTES });
    }
  }
  return spans;
}

/** Asks which minutes of one day the window is open. Null is the window that is always open. */
export function openMinutes(window: BackupWindow | null, day: DayNumber): (minute: number) => boolean {
  if (window === null) return () => true;
  const spans = spansOn(window, day);
  return (minute) => spans.some(({ start, end }) => start <= minute && minute < end);
}

/** May work start at this time? */
export const isOpen = (window: BackupWindow | null, { day, minute }: WallTime): boolean =>
  openMinutes(window, day)(minute);

/**
 * How many minutes from a time in the window until it closes, by the wall clock; 0 outside, `limit` when it is open for
 * longer than that.
 */
export function minutesUntilClosed(window: BackupWindow | null, from: WallTime, limit: number): number {
  for (let left = 0; left < limit; left++) {
    const minute = from.minute + left;
    const day = from.day + Math.floor(minute / DAY_MINUTES);
    if (!isOpen(window, { day, minute: minute % DAY_MINUTES })) return left;
  }
  return limit;
}
