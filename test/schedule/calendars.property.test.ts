import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Calendar, calendarSchema } from '../../lib/model/index.ts';
import { dueCalendarSlots, type Slot, slotsBetween } from '../../lib/schedule/index.ts';
import { calendarIn } from './arbitraries.ts';
import { type ModelSlot, modelOpen, modelSlots, type WallTable, wallTable } from './wallModel.ts';

/** The same calendars each time, so that what is counted below is the same too; another seed looks at others. */
const SEED = Number(process.env['HOLDFAST_TEST_SEED'] ?? 20_261_122);
/** For a machine that has much else to do. */
const PATIENCE = 180_000;
const MINUTE = 60_000;
const DAYS = 12;
const MARGIN = 2 * 1440;

/** Around a change of the clock where there is one: northern and southern, by an hour, by half of one, at midnight, by a day. */
const TABLES: WallTable[] = [
  wallTable('UTC', '2028-02-24T00:00:00Z', DAYS),
  wallTable('Europe/Berlin', '2026-03-24T00:00:00Z', DAYS),
  wallTable('Europe/Berlin', '2026-10-20T00:00:00Z', DAYS),
  wallTable('America/New_York', '2026-03-03T00:00:00Z', DAYS),
  wallTable('America/St_Johns', '2026-10-27T00:00:00Z', DAYS),
  wallTable('Australia/Lord_Howe', '2026-03-30T00:00:00Z', DAYS),
  wallTable('Australia/Lord_Howe', '2026-09-29T00:00:00Z', DAYS),
  wallTable('Australia/Adelaide', '2026-09-29T00:00:00Z', DAYS),
  wallTable('Africa/Cairo', '2026-04-19T00:00:00Z', DAYS),
  wallTable('Africa/Cairo', '2026-10-25T00:00:00Z', DAYS),
  wallTable('Asia/Kathmandu', '2026-12-26T00:00:00Z', DAYS),
  wallTable('Pacific/Apia', '2011-12-25T00:00:00Z', DAYS),
];

function tableAt(place: number): WallTable {
  const table = TABLES[place];
  if (!table) throw new RangeError(`no table ${place}`);
  return table;
}

const flat = (slots: readonly Slot[]): ModelSlot[] =>
  slots.map(({ at, makes, flags, backupFlags }) => ({
    at: at.getTime(),
    backup: makes === 'backup',
    flags: [...flags].sort().join(','),
    backupFlags: [...backupFlags].sort().join(','),
  }));

const joined = (lists: readonly string[]): string =>
  [...new Set(lists.flatMap((list) => list.split(',')).filter(Boolean))].sort().join(',');

/** One for all: at the time of the last. */
const unionOf = (slots: readonly ModelSlot[]): ModelSlot | null =>
  slots.length === 0
    ? null
    : {
        at: Math.max(...slots.map(({ at }) => at)),
        backup: slots.some(({ backup }) => backup),
        flags: joined(slots.map(({ flags }) => flags)),
        backupFlags: joined(slots.map(({ backupFlags }) => backupFlags)),
      };

/** A calendar and a stretch of its table, in minutes from the table's start. */
const cases: fc.Arbitrary<{ place: number; calendar: Calendar; from: number; to: number }> = fc
  .nat(TABLES.length - 1)
  .chain((place) =>
    fc.record({
      place: fc.constant(place),
      calendar: calendarIn(tableAt(place).zone),
      from: fc.integer({ min: MARGIN, max: (DAYS - 3) * 1440 }),
      length: fc.integer({ min: 1, max: 2 * 1440 }),
    }),
  )
  .map(({ length, ...rest }) => ({ ...rest, to: Math.min(rest.from + length, (DAYS - 1) * 1440) }));

const instant = (table: WallTable, index: number): Date => new Date(table.start + index * MINUTE);

/** Missed slots that are listed one by one; those before them are counted. */
const LISTED = 1000;

describe('slots of random calendars', () => {
  it(
    'are those at which a clock on the wall, watched minute by minute, first reaches a time that is meant',
    () => {
      let seen = 0;
      fc.assert(
        fc.property(cases, ({ place, calendar, from, to }) => {
          const table = tableAt(place);
          expect(calendarSchema.parse(calendar)).toEqual(calendar);
          const model = modelSlots(calendar, table, from + 1, to + 1);
          seen += model.length;
          // As text: a deep comparison of thousands of slots is slow.
          const ours = flat(slotsBetween(calendar, instant(table, from), instant(table, to)));
          expect(JSON.stringify(ours)).toBe(JSON.stringify(model));
        }),
        { numRuns: 10_000, seed: SEED, endOnFailure: true },
      );
      expect(seen).toBeGreaterThan(10_000);
    },
    PATIENCE,
  );

  it(
    'are each run, or recorded as missed, exactly once, over any pattern of ticks, and no flag is lost',
    () => {
      let waited = 0;
      let coalesced = 0;
      fc.assert(
        fc.property(
          cases,
          fc.array(
            fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 900 })),
            {
              minLength: 1,
              maxLength: 40,
            },
          ),
          ({ place, calendar, from, to }, gaps) => {
            const table = tableAt(place);
            const given: number[] = [];
            let counted = 0;
            let since = from;
            let now = from;
            for (const gap of gaps) {
              now = Math.min(now + gap, to);
              const pending = modelSlots(calendar, table, since + 1, now + 1);
              const newest = pending.at(-1);
              const overdue = newest !== undefined && table.start + now * MINUTE - newest.at > 2 * MINUTE;
              const shut = overdue && !modelOpen(calendar.window, table, now);
              if (shut) waited++;
              if (pending.length > 1 && !shut) coalesced++;
              const runs = shut ? [] : pending;
              const older = runs.slice(0, -1);
              const { due, missed, unlisted, late, waiting } = dueCalendarSlots(
                calendar,
                instant(table, since),
                instant(table, now),
              );
              expect({ due: due && flat([due])[0], missed: flat(missed), unlisted, late, waiting }).toEqual({
                due: unionOf(runs),
                missed: older.slice(-LISTED),
                unlisted: Math.max(0, older.length - LISTED),
                late: runs.length > 0 && (overdue || runs.length > 1),
                waiting: shut ? pending.length : 0,
              });
              counted += unlisted;
              given.push(...[...missed, ...(due ? [due] : [])].map(({ at }) => at.getTime()));
              if (due) since = (due.at.getTime() - table.start) / MINUTE;
            }
            const all = new Set(modelSlots(calendar, table, from + 1, since + 1).map(({ at }) => at));
            expect(given.filter((at) => !all.delete(at))).toEqual([]);
            // What is left is what was only counted: after a very long gap.
            expect(all.size).toBe(counted);
          },
        ),
        { numRuns: 800, seed: SEED, endOnFailure: true },
      );
      expect(waited).toBeGreaterThan(20);
      expect(coalesced).toBeGreaterThan(20);
    },
    PATIENCE,
  );
});
