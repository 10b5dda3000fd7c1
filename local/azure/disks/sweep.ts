/**
 * What a stack of layers says, page by page: the topmost layer that speaks of a page decides. Pure walks over maps that must not change
 * during the walk; callers take a bounded number of steps and come back.
 */
import { CLEARED, type Extent, type IntervalMap, slotAt } from './intervalMap.ts';

/** The effective extents (with slots or CLEARED) of the maps, topmost first, in pages [from, to). */
export function* sweep(maps: readonly IntervalMap[], from: number, to: number): Generator<Extent> {
  const cursors = maps.map((map) => map.cursor(from));
  for (let page = from; page < to; ) {
    let end = to;
    let slot: number | undefined;
    for (const cursor of cursors) {
      cursor.skipTo(page);
      if (cursor.start <= page) {
        slot = slotAt(cursor, page);
        end = Math.min(end, cursor.end);
        break;
      }
      end = Math.min(end, cursor.start);
    }
    if (slot !== undefined) yield { start: page, end, slot };
    page = end;
  }
}

/** Pages [start, end), allocated or (`clear`) emptied. */
export interface PageSpan {
  start: number;
  end: number;
  clear: boolean;
}

/** The allocated spans, neighbours joined. */
export function allocated(maps: readonly IntervalMap[], from: number, to: number): Generator<PageSpan> {
  return joined(allocatedPieces(maps, from, to));
}

/** What the maps above (`newer`) changed of the state that `older` describes, neighbours of one kind joined. */
export function changed(
  newer: readonly IntervalMap[],
  older: readonly IntervalMap[],
  from: number,
  to: number,
): Generator<PageSpan> {
  return joined(changedPieces(newer, older, from, to));
}

function* allocatedPieces(maps: readonly IntervalMap[], from: number, to: number): Generator<PageSpan> {
  for (const { start, end, slot } of sweep(maps, from, to)) {
    if (slot !== CLEARED) yield { start, end, clear: false };
  }
}

function* changedPieces(
  newer: readonly IntervalMap[],
  older: readonly IntervalMap[],
  from: number,
  to: number,
): Generator<PageSpan> {
  for (const { start, end, slot } of sweep(newer, from, to)) {
    if (slot !== CLEARED) yield { start, end, clear: false };
    else for (const had of allocatedPieces(older, start, end)) yield { ...had, clear: true };
  }
}

function* joined(spans: Iterable<PageSpan>): Generator<PageSpan> {
  let held: PageSpan | undefined;
  for (const span of spans) {
    if (held && held.end === span.start && held.clear === span.clear) {
      held.end = span.end;
      continue;
    }
    if (held) yield held;
    held = span;
  }
  if (held) yield held;
}
