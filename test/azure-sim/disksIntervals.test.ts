import { array, assert, integer, nat, option, property, record } from 'fast-check';
import { expect, test } from 'vitest';
import { CLEARED, type Extent, IntervalMap } from '../../local/azure/disks/intervalMap.ts';
import { mergeMaps } from '../../local/azure/disks/merge.ts';
import { changed, sweep } from '../../local/azure/disks/sweep.ts';

const PAGES = 9000;
type Slots = (number | undefined)[];

/** Enough single pages for dozens of leaves, then changes of every length anywhere. */
const change = record({
  start: nat({ max: PAGES - 1 }),
  // Long ones are rare: they would leave nothing to split.
  length: integer({ min: 1, max: 12 }).chain((short) =>
    integer({ min: 1, max: short === 12 ? 3000 : short }),
  ),
  slot: option(integer({ min: CLEARED, max: 50 })),
});
const changes = array(change, { minLength: 20, maxLength: 200, size: 'max' });

function scattered(step: number): { map: IntervalMap; slots: Slots } {
  const map = new IntervalMap();
  const slots: Slots = Array.from({ length: PAGES });
  for (let page = 0; page < PAGES; page += step) {
    map.replace(page, page + 1, page * 7);
    slots[page] = page * 7;
  }
  return { map, slots };
}

function flat(extents: Iterable<Extent>): Slots {
  const slots: Slots = Array.from({ length: PAGES });
  for (const { start, end, slot } of extents) {
    for (let page = start; page < end; page += 1)
      slots[page] = slot === CLEARED ? CLEARED : slot + page - start;
  }
  return slots;
}

/** Changes map and array alike; what the map says it displaced must be what the array had there. */
function apply(
  map: IntervalMap,
  slots: Slots,
  { start, length, slot }: { start: number; length: number; slot: number | null },
): void {
  const end = Math.min(start + length, PAGES);
  const had = flat(map.replace(start, end, slot ?? undefined));
  const before: Slots = slots.map((value, page) => (page >= start && page < end ? value : undefined));
  expect(had).toEqual(before);
  for (let page = start; page < end; page += 1) {
    slots[page] = slot === null ? undefined : slot === CLEARED ? CLEARED : slot + page - start;
  }
}

function isTight(extents: Extent[]): boolean {
  return extents.every(({ start, end, slot }, index) => {
    const next = extents[index + 1];
    const joins = next?.start === end && next.slot === (slot === CLEARED ? CLEARED : slot + end - start);
    return start < end && (!next || next.start >= end) && !joins;
  });
}

test('a map of thousands of extents says what an array of pages says, as few extents as can be', () => {
  assert(
    property(integer({ min: 2, max: 4 }), changes, (step, list) => {
      const { map, slots } = scattered(step);
      for (const each of list) apply(map, slots, each);
      const extents = map.all().toArray();
      expect(flat(extents)).toEqual(slots);
      expect([isTight(extents), map.size]).toEqual([true, extents.length]);
    }),
    { numRuns: 8 },
  );
});

test('a cursor skips to the first extent that ends after a page', () => {
  assert(
    property(
      integer({ min: 2, max: 4 }),
      array(integer({ min: 0, max: 700 }), { size: 'max', maxLength: 60 }),
      (step, jumps) => {
        const { map } = scattered(step);
        const cursor = map.cursor(0);
        let page = 0;
        for (const jump of jumps) {
          page += jump;
          cursor.skipTo(page);
          const first = map.all().find(({ end }) => end > page);
          expect(
            cursor.done ? undefined : { start: cursor.start, end: cursor.end, slot: cursor.slot },
          ).toEqual(first);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('a stack of maps, swept, compared and merged, equals the arrays laid over each other', () => {
  assert(
    property(
      changes,
      changes,
      nat({ max: PAGES }),
      nat({ max: PAGES }),
      (lowerChanges, upperChanges, a, b) => {
        const lower = scattered(3);
        const upper = { map: new IntervalMap(), slots: Array.from<number | undefined>({ length: PAGES }) };
        for (const each of lowerChanges) apply(lower.map, lower.slots, each);
        for (const each of upperChanges) apply(upper.map, upper.slots, each);
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const inside = (value: number | undefined, page: number) =>
          page >= from && page < to ? value : undefined;
        const laid = upper.slots.map((value, page) => value ?? lower.slots[page]);
        expect(flat(sweep([upper.map, lower.map], from, to))).toEqual(laid.map(inside));

        const isData = (slot: number | undefined) => slot !== undefined && slot !== CLEARED;
        const kinds = upper.slots.map((value, page) => {
          if (isData(value)) return 'page';
          return value === CLEARED && isData(lower.slots[page]) ? 'clear' : undefined;
        });
        const found: (string | undefined)[] = Array.from({ length: PAGES });
        for (const { start, end, clear } of changed([upper.map], [lower.map], 0, PAGES))
          found.fill(clear ? 'clear' : 'page', start, end);
        expect(found).toEqual(kinds);

        const hiddenBefore = lower.slots.filter(
          (value, page) => isData(value) && upper.slots[page] !== undefined,
        ).length;
        const merged = mergeMaps(lower.map, upper.map, true);
        expect(flat(merged.map.all())).toEqual(laid.map((value) => (value === CLEARED ? undefined : value)));
        expect(merged.hidden.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(hiddenBefore);
      },
    ),
    { numRuns: 8 },
  );
});
