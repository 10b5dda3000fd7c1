import { type ByteRange, GiB, HoldfastError } from '../model/index.ts';
import {
  type BlockMap,
  blocksWithin,
  type MapShape,
  pageRefs,
  pagesOf,
  type Ref,
} from '../repository/index.ts';
import { BlockSet } from './blockSet.ts';
import { blocksToMove, type ListedRanges, type PageSets, planPages } from './changedBlocks.ts';
import type { PlannedPage } from './plannedPages.ts';
import type { PageLists } from './ports.ts';

const WINDOW_BYTES = 64 * GiB;

/** A stretch of whole pages that is listed, and saved, at once. */
export interface Window {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** Cuts the disk's pages into windows of 64 GiB. */
export function windowsOf(shape: MapShape): Window[] {
  const pages = Math.max(1, Math.floor(WINDOW_BYTES / (shape.blockBytes * shape.pageBlocks)));
  return Array.from({ length: Math.ceil(pagesOf(shape) / pages) }, (_, index) => ({
    index,
    from: index * pages,
    to: Math.min((index + 1) * pages, pagesOf(shape)),
  }));
}

export interface ListedWindow {
  readonly pages: PlannedPage[];
  /** Bytes in allocated ranges; 0 where only differences were listed. */
  readonly allocatedBytes: number;
}

/** Lists one window. `whole`: what is allocated; else what differs from the base, and beyond its end what is allocated. */
export async function listWindow(
  lists: PageLists,
  window: Window,
  shape: MapShape,
  parent: BlockMap | null,
  whole: boolean,
  signal: AbortSignal,
): Promise<ListedWindow> {
  const pageBytes = shape.blockBytes * shape.pageBlocks;
  const start = window.from * pageBytes;
  const end = Math.min(window.to * pageBytes, shape.sizeBytes);
  const parents = new Map<number, Ref>();
  if (parent) {
    const to = Math.min(window.to, pagesOf(parent));
    for await (const { page, ref } of pageRefs(parent, window.from, to, signal)) parents.set(page, ref);
  }
  const allocated = async (from: number): Promise<ByteRange[]> =>
    from < end ? checked(await lists.allocated({ offset: from, length: end - from }, signal), from, end) : [];
  if (whole || !parent) {
    const changed = await allocated(start);
    const sets = blocksToMove({ changed, cleared: [] }, shape);
    const pages = planPages(withDamaged(sets, window, shape, parent, whole), parents).filter(
      ({ read }) => read.size > 0,
    );
    return { pages, allocatedBytes: changed.reduce((sum, { length }) => sum + length, 0) };
  }
  // What lies beyond the end of the base was never in the parent.
  const grownFrom = Math.max(start, Math.min(parent.sizeBytes, end));
  const ranges: ListedRanges = { changed: [], cleared: [] };
  const both =
    start < grownFrom ? await lists.changed({ offset: start, length: grownFrom - start }, signal) : ranges;
  const changed = [...checked(both.changed, start, grownFrom), ...(await allocated(grownFrom))];
  const cleared = checked(both.cleared, start, grownFrom);
  const sets = blocksToMove({ changed, cleared }, shape);
  return { pages: planPages(withDamaged(sets, window, shape, parent, whole), parents), allocatedBytes: 0 };
}

/**
 * Adds the blocks that are damaged in the parent: they are read, and marked `read` and `clear` at once, so that what the
 * parent holds is not used again. Of a whole read only those that are read anyway: the others become absent.
 */
function withDamaged(
  sets: Map<number, PageSets>,
  { from, to }: Window,
  { pageBlocks, sizeBytes, blockBytes }: MapShape,
  parent: BlockMap | null,
  whole: boolean,
): Map<number, PageSets> {
  const end = Math.min(to * pageBlocks, Math.ceil(sizeBytes / blockBytes));
  for (const block of blocksWithin(parent?.damaged ?? [], from * pageBlocks, end)) {
    const page = Math.floor(block / pageBlocks);
    const place = block % pageBlocks;
    let known = sets.get(page);
    if (!known) {
      if (whole) continue;
      known = { read: new BlockSet(pageBlocks), clear: new BlockSet(pageBlocks) };
      sets.set(page, known);
    }
    // Wholly cleared by the guest: absent, and nothing to read.
    if (!known.read.has(place) && (whole || known.clear.has(place))) continue;
    known.read.add(place);
    known.clear.add(place);
  }
  return sets;
}

/** A list that leaves its window, or is out of order, cannot be trusted at all. */
function checked(ranges: readonly ByteRange[], from: number, to: number): ByteRange[] {
  let end = from;
  for (const { offset, length } of ranges) {
    if (offset < end || length <= 0 || offset + length > to) {
      throw new HoldfastError(
        'internal',
        `The page list of bytes ${from} to ${to} holds the impossible range ${offset}+${length}.`,
        {
          target: `offset ${offset}`,
        },
      );
    }
    end = offset + length;
  }
  return [...ranges];
}
