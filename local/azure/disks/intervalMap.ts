/**
 * Which pages a layer holds, and where: half-open extents [start, end) of page numbers, ascending and disjoint, each with the slot of
 * its first page or the mark CLEARED. Neighbours that continue each other are one extent.
 *
 * Kept in leaves of columns, so that a change costs a binary search and the move of one small array, and an extent about 24 bytes.
 */

/** The mark of pages that the layer says are empty, whatever lies below it. */
export const CLEARED = -1;

/** Pages `start` (inclusive) to `end` (exclusive); page `start + n` is in slot `slot + n`, or all are CLEARED. */
export interface Extent {
  start: number;
  end: number;
  slot: number;
}

interface Leaf {
  starts: number[];
  ends: number[];
  slots: number[];
}

const LEAF_EXTENTS = 512;

export class IntervalMap {
  readonly #leaves: Leaf[] = [];
  #size = 0;

  /** Number of extents. */
  get size(): number {
    return this.#size;
  }

  /**
   * Gives pages [start, end) the slots from `slot` on, or CLEARED, or (undefined) takes them out. Returns the parts of extents that
   * were there before.
   */
  replace(start: number, end: number, slot: number | undefined): Extent[] {
    this.#splitAt(start);
    this.#splitAt(end);
    const displaced = this.#cutOut(start, end);
    if (slot !== undefined) this.#insert({ start, end, slot });
    return displaced;
  }

  /** A forward cursor on the first extent that ends after `page`. Invalid after any change of the map. */
  cursor(page: number): Cursor {
    return new Cursor(this.#leaves, this.#find(page));
  }

  /** The extents that touch [from, to), cut to it. The map must not change meanwhile. */
  *within(from: number, to: number): Generator<Extent> {
    for (const cursor = this.cursor(from); !cursor.done && cursor.start < to; cursor.next()) {
      const start = Math.max(cursor.start, from);
      yield { start, end: Math.min(cursor.end, to), slot: slotAt(cursor, start) };
    }
  }

  /** All extents. The map must not change meanwhile. */
  *all(): Generator<Extent> {
    yield* this.within(0, Number.POSITIVE_INFINITY);
  }

  /** Index of the leaf and of the first extent in it that ends after `page`; past the last leaf when there is none. */
  #find(page: number): { leaf: number; index: number } {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (at(at(this.#leaves, middle).ends, -1) > page) high = middle;
      else low = middle + 1;
    }
    const leaf = this.#leaves[low];
    return { leaf: low, index: leaf ? firstAbove(leaf.ends, page) : 0 };
  }

  #splitAt(page: number): void {
    const { leaf: position, index } = this.#find(page);
    const leaf = this.#leaves[position];
    if (!leaf || at(leaf.starts, index) >= page) return;
    const extent = { start: at(leaf.starts, index), end: at(leaf.ends, index), slot: at(leaf.slots, index) };
    leaf.ends[index] = page;
    this.#place(position, index + 1, { start: page, end: extent.end, slot: slotAt(extent, page) });
  }

  #cutOut(start: number, end: number): Extent[] {
    const removed: Extent[] = [];
    let { leaf: position, index } = this.#find(start);
    while (position < this.#leaves.length) {
      const leaf = at(this.#leaves, position);
      let stop = index;
      while (stop < leaf.starts.length && at(leaf.starts, stop) < end) {
        removed.push({ start: at(leaf.starts, stop), end: at(leaf.ends, stop), slot: at(leaf.slots, stop) });
        stop += 1;
      }
      const reachedEnd = stop < leaf.starts.length;
      for (const column of [leaf.starts, leaf.ends, leaf.slots]) column.splice(index, stop - index);
      if (leaf.starts.length === 0) this.#leaves.splice(position, 1);
      else position += 1;
      if (reachedEnd) break;
      index = 0;
    }
    this.#size -= removed.length;
    return removed;
  }

  #insert(extent: Extent): void {
    let { leaf: position, index } = this.#find(extent.start);
    // Extents between two leaves, and those after the last one, go to the end of the earlier leaf.
    if (index === 0 && position > 0) {
      position -= 1;
      index = at(this.#leaves, position).starts.length;
    }
    const leaf = this.#leaves[position];
    if (leaf && index > 0 && continues(extentAt(leaf, index - 1), extent)) {
      leaf.ends[index - 1] = extent.end;
      index -= 1;
    } else {
      ({ position, index } = this.#place(position, index, extent));
    }
    this.#joinNext(position, index);
  }

  #joinNext(position: number, index: number): void {
    const leaf = at(this.#leaves, position);
    const sameLeaf = index + 1 < leaf.starts.length;
    const nextLeaf = sameLeaf ? leaf : this.#leaves[position + 1];
    const nextIndex = sameLeaf ? index + 1 : 0;
    if (!nextLeaf) return;
    const next = extentAt(nextLeaf, nextIndex);
    if (!continues(extentAt(leaf, index), next)) return;
    leaf.ends[index] = next.end;
    for (const column of [nextLeaf.starts, nextLeaf.ends, nextLeaf.slots]) column.splice(nextIndex, 1);
    if (nextLeaf.starts.length === 0) this.#leaves.splice(position + 1, 1);
    this.#size -= 1;
  }

  #place(position: number, index: number, extent: Extent): { position: number; index: number } {
    this.#size += 1;
    const leaf = this.#leaves[position];
    if (!leaf) {
      this.#leaves.push({ starts: [extent.start], ends: [extent.end], slots: [extent.slot] });
      return { position: this.#leaves.length - 1, index: 0 };
    }
    leaf.starts.splice(index, 0, extent.start);
    leaf.ends.splice(index, 0, extent.end);
    leaf.slots.splice(index, 0, extent.slot);
    if (leaf.starts.length <= LEAF_EXTENTS) return { position, index };
    // Growth at the very end is the common case (files written in order): leave full leaves behind it.
    const keep = index === leaf.starts.length - 1 ? LEAF_EXTENTS : LEAF_EXTENTS / 2;
    this.#leaves.splice(position + 1, 0, {
      starts: leaf.starts.splice(keep),
      ends: leaf.ends.splice(keep),
      slots: leaf.slots.splice(keep),
    });
    return index < keep ? { position, index } : { position: position + 1, index: index - keep };
  }
}

/** A position in an IntervalMap that moves forward only. */
export class Cursor {
  readonly #leaves: readonly Leaf[];
  #position: number;
  #index: number;
  start = 0;
  end = 0;
  slot = 0;
  done = false;

  constructor(leaves: readonly Leaf[], found: { leaf: number; index: number }) {
    this.#leaves = leaves;
    this.#position = found.leaf;
    this.#index = found.index;
    this.#load();
  }

  next(): void {
    this.#index += 1;
    this.#load();
  }

  /** Moves to the first extent that ends after `page`; stays when the present one does. */
  skipTo(page: number): void {
    if (this.done || this.end > page) return;
    this.#index += 1;
    for (let leaf = this.#leaves[this.#position]; leaf; leaf = this.#leaves[this.#position]) {
      if (this.#index < leaf.ends.length && at(leaf.ends, -1) > page) {
        this.#index = firstAbove(leaf.ends, page, this.#index);
        break;
      }
      this.#position += 1;
      this.#index = 0;
    }
    this.#load();
  }

  #load(): void {
    let leaf = this.#leaves[this.#position];
    if (leaf && this.#index >= leaf.starts.length) {
      this.#position += 1;
      this.#index = 0;
      leaf = this.#leaves[this.#position];
    }
    if (!leaf) {
      this.done = true;
      this.start = this.end = Number.POSITIVE_INFINITY;
      return;
    }
    this.start = at(leaf.starts, this.#index);
    this.end = at(leaf.ends, this.#index);
    this.slot = at(leaf.slots, this.#index);
  }
}

/** The slot of `page`, which lies in `extent`. */
export function slotAt(extent: { start: number; slot: number }, page: number): number {
  return extent.slot === CLEARED ? CLEARED : extent.slot + (page - extent.start);
}

/** True when `next` goes on where `extent` ends, in page and in slot. */
function continues(extent: Extent, next: Extent): boolean {
  if (extent.end !== next.start) return false;
  if (extent.slot === CLEARED || next.slot === CLEARED) return extent.slot === next.slot;
  return extent.slot + (extent.end - extent.start) === next.slot;
}

function extentAt(leaf: Leaf, index: number): Extent {
  return { start: at(leaf.starts, index), end: at(leaf.ends, index), slot: at(leaf.slots, index) };
}

/** The first index from `low` on whose value is above `limit`. */
function firstAbove(sorted: readonly number[], limit: number, low = 0): number {
  let first = low;
  let high = sorted.length;
  while (first < high) {
    const middle = (first + high) >>> 1;
    if ((sorted[middle] as number) > limit) high = middle;
    else first = middle + 1;
  }
  return first;
}

function at<T>(items: readonly T[], index: number): T {
  return items[index < 0 ? items.length + index : index] as T;
}
