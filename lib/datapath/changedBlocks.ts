import type { ByteRange } from '../model/index.ts';
import type { MapShape, Ref } from '../repository/index.ts';
import { BlockSet } from './blockSet.ts';
import type { PlannedPage } from './plannedPages.ts';

/** What the platform's lists say of a stretch of a disk. */
export interface ListedRanges {
  readonly changed: readonly ByteRange[];
  readonly cleared: readonly ByteRange[];
}

/** Blocks of a page. A block in both sets is read, and what the parent holds of it is not used: it is damaged there. */
export interface PageSets {
  readonly read: BlockSet;
  readonly clear: BlockSet;
}

/**
 * Rounds ranges to blocks: a block with any changed byte is read; one that lies wholly in cleared ranges becomes absent; one
 * that is partly cleared is read. Returns the pages that are touched, by number.
 */
export function blocksToMove({ changed, cleared }: ListedRanges, shape: MapShape): Map<number, PageSets> {
  const { blockBytes, pageBlocks, sizeBytes } = shape;
  const pages = new Map<number, PageSets>();
  const setsOf = (block: number): PageSets => {
    const page = Math.floor(block / pageBlocks);
    let sets = pages.get(page);
    if (!sets) {
      sets = { read: new BlockSet(pageBlocks), clear: new BlockSet(pageBlocks) };
      pages.set(page, sets);
    }
    return sets;
  };
  for (const { offset, length } of joinNeighbours(cleared)) {
    const end = offset + length;
    for (let block = Math.floor(offset / blockBytes); block * blockBytes < end; block++) {
      const whole = block * blockBytes >= offset && Math.min((block + 1) * blockBytes, sizeBytes) <= end;
      setsOf(block)[whole ? 'clear' : 'read'].add(block % pageBlocks);
    }
  }
  for (const { offset, length } of changed) {
    const end = offset + length;
    for (let block = Math.floor(offset / blockBytes); block * blockBytes < end; block++) {
      const { read, clear } = setsOf(block);
      read.add(block % pageBlocks);
      clear.delete(block % pageBlocks);
    }
  }
  return pages;
}

/** Pages in order, with the parent's references. A page without reads and without a parent has nothing to do. */
export function planPages(
  sets: ReadonlyMap<number, PageSets>,
  parents: ReadonlyMap<number, Ref>,
): PlannedPage[] {
  return [...sets]
    .sort(([a], [b]) => a - b)
    .map(([page, { read, clear }]) => ({ page, read, clear, parent: parents.get(page) ?? null }))
    .filter(({ read, parent }) => parent !== null || read.size > 0);
}

/** Bytes that reading the page's blocks takes: the disk's last block may be short. */
export function readBytesOf(
  { page, read }: PlannedPage,
  { blockBytes, pageBlocks, sizeBytes }: MapShape,
): number {
  let bytes = 0;
  for (const block of read) {
    const start = (page * pageBlocks + block) * blockBytes;
    bytes += Math.min(blockBytes, sizeBytes - start);
  }
  return bytes;
}

/** Two ranges that touch may cover a block that neither covers alone. */
function joinNeighbours(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: ByteRange[] = [];
  for (const { offset, length } of ranges) {
    const last = joined.at(-1);
    if (last && last.offset + last.length === offset)
      joined[joined.length - 1] = { offset: last.offset, length: last.length + length };
    else joined.push({ offset, length });
  }
  return joined;
}
