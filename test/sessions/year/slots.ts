import type { Calendar } from '../../../lib/model/index.ts';
import { type ModelSlot, modelOpen, modelSlots, wallTable } from '../../schedule/wallModel.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** A table of a whole year would be large; each stretch begins a little earlier, so that the clock has a past. */
const STRETCH_DAYS = 31;
const MARGIN_DAYS = 2;

export interface YearOfSlots {
  readonly slots: readonly ModelSlot[];
  /** Minutes since `from` at which the calendar's window is open. */
  readonly open: Uint8Array;
}

/** The slots of calendars of one zone in `[from, until)`, by a clock on the wall that is watched minute by minute. */
export function yearOfSlots(
  zone: string,
  calendars: readonly Calendar[],
  from: number,
  until: number,
): YearOfSlots[] {
  const minutes = (until - from) / MINUTE;
  const years = calendars.map(() => ({ slots: [] as ModelSlot[], open: new Uint8Array(minutes) }));
  for (let begin = from; begin < until; begin += STRETCH_DAYS * DAY) {
    const end = Math.min(until, begin + STRETCH_DAYS * DAY);
    const table = wallTable(
      zone,
      new Date(begin - MARGIN_DAYS * DAY).toISOString(),
      (end - begin) / DAY + MARGIN_DAYS,
    );
    const first = MARGIN_DAYS * 1440;
    const last = first + (end - begin) / MINUTE;
    for (const [i, calendar] of calendars.entries()) {
      const year = years[i];
      if (!year) continue;
      year.slots.push(...modelSlots(calendar, table, first, last));
      if (calendar.window === null) continue;
      for (let at = first; at < last; at++)
        year.open[(begin - from) / MINUTE + at - first] = modelOpen(calendar.window, table, at) ? 1 : 0;
    }
  }
  return years;
}
