/** Folding a layer that nobody names into the one above it. */
import { CLEARED, type Extent, type IntervalMap } from './intervalMap.ts';

export interface MergedMap {
  map: IntervalMap;
  /** Parts of `lower` that `upper` hides: their slots are nobody's now. */
  hidden: Extent[];
}

/**
 * One map that says what `upper` over `lower` says. Uses up both: the larger one becomes the result, so that a small layer is cheap to
 * fold whichever side it is on. `isRoot`: there is nothing below, so the mark of emptied pages says nothing and is dropped.
 */
export function mergeMaps(lower: IntervalMap, upper: IntervalMap, isRoot: boolean): MergedMap {
  const merged = upper.size <= lower.size ? coverLower(lower, upper) : fillUpper(lower, upper);
  if (isRoot) {
    for (const { start, end, slot } of merged.map.all().toArray()) {
      if (slot === CLEARED) merged.map.replace(start, end, undefined);
    }
  }
  return { map: merged.map, hidden: merged.hidden.filter((extent) => extent.slot !== CLEARED) };
}

function coverLower(lower: IntervalMap, upper: IntervalMap): MergedMap {
  const hidden: Extent[] = [];
  for (const { start, end, slot } of upper.all()) hidden.push(...lower.replace(start, end, slot));
  return { map: lower, hidden };
}

function fillUpper(lower: IntervalMap, upper: IntervalMap): MergedMap {
  const hidden: Extent[] = [];
  for (const extent of lower.all()) {
    const slot = (page: number) => (extent.slot === CLEARED ? CLEARED : extent.slot + (page - extent.start));
    let from = extent.start;
    const gaps: Extent[] = [];
    for (const cover of upper.within(extent.start, extent.end)) {
      if (cover.start > from) gaps.push({ start: from, end: cover.start, slot: slot(from) });
      hidden.push({ start: cover.start, end: cover.end, slot: slot(cover.start) });
      from = cover.end;
    }
    if (from < extent.end) gaps.push({ start: from, end: extent.end, slot: slot(from) });
    for (const gap of gaps) upper.replace(gap.start, gap.end, gap.slot);
  }
  return { map: upper, hidden };
}
