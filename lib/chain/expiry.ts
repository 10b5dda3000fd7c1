import { Temporal } from 'temporal-polyfill';
import type { TimeRule } from '../model/index.ts';

/** When something taken at a time has been kept for as long as a rule says. */
export type Expiry = (takenAt: Date, rule: TimeRule) => Date;

/**
 * Counts days, weeks, months and years by the calendar of a zone: the same time of day, that much later. A month that is too
 * short gives its last day. Answers are remembered, because a plan asks the same again for each point.
 */
export function expiryIn(timeZone: string): Expiry {
  const known = new Map<string, Date>();
  return (takenAt, { days = 0, weeks = 0, months = 0, years = 0 }) => {
    const key = `${takenAt.getTime()}/${days}/${weeks}/${months}/${years}`;
    let until = known.get(key);
    if (until === undefined) {
      const taken = Temporal.Instant.fromEpochMilliseconds(takenAt.getTime()).toZonedDateTimeISO(timeZone);
      until = new Date(taken.add({ days, weeks, months, years }).epochMilliseconds);
      known.set(key, until);
    }
    return until;
  };
}
