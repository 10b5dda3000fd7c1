import { Temporal } from 'temporal-polyfill';
import type { DayNumber } from './days.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** No zone is further from UTC than this, with a day's room for one that jumps over the date line. */
const REACH_MS = 39 * 3_600_000;

/** What the clock on the wall shows: a day and the minutes since its midnight. */
export interface WallTime {
  readonly day: DayNumber;
  readonly minute: number;
}

/** The wall clock of one time zone, read both ways. */
export interface WallClock {
  /** What the clock shows at an instant, in whole minutes. */
  at(instant: Date): WallTime;
  /**
   * When the clock first shows a time, in milliseconds since the epoch. A time that is skipped gives the first minute after
   * the skip; a time that comes twice, its first coming. So a later time never comes earlier.
   */
  instantOf(day: DayNumber, minute: number): number;
}

export function wallClock(timeZone: string): WallClock {
  const offsetAt = (epochMs: number): number =>
    Temporal.Instant.fromEpochMilliseconds(epochMs).toZonedDateTimeISO(timeZone).offsetNanoseconds / 1e6;

  // Most days are nowhere near a change of the clock, and then arithmetic will do.
  let known: { readonly day: DayNumber; readonly offset: number | null } | null = null;
  const steadyOffset = (day: DayNumber): number | null => {
    if (known?.day === day) return known.offset;
    const before = offsetAt(day * DAY_MS - REACH_MS);
    const steady = before === offsetAt(day * DAY_MS + DAY_MS + REACH_MS);
    known = { day, offset: steady ? before : null };
    return known.offset;
  };

  return {
    at(instant) {
      const local = instant.getTime() + offsetAt(instant.getTime());
      const day = Math.floor(local / DAY_MS);
      return { day, minute: Math.floor((local - day * DAY_MS) / MINUTE_MS) };
    },
    instantOf(day, minute) {
      const offset = steadyOffset(day);
      const shown = day * DAY_MS + minute * MINUTE_MS;
      return offset === null ? firstShowing(shown, timeZone) : shown - offset;
    },
  };
}

/** @param shown the wall time, as if it were UTC */
function firstShowing(shown: number, timeZone: string): number {
  const wall = Temporal.Instant.fromEpochMilliseconds(shown).toZonedDateTimeISO('UTC').toPlainDateTime();
  const earlier = wall.toZonedDateTime(timeZone, { disambiguation: 'earlier' });
  if (earlier.toPlainDateTime().equals(wall)) return earlier.epochMilliseconds;
  // Skipped: `earlier` lies before the skip, which is the next change of the clock.
  return (earlier.getTimeZoneTransition('next') ?? earlier).epochMilliseconds;
}
