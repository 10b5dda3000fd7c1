import { NODE_PAGES } from './chain.ts';
import type { Ref } from './refs.ts';
import type { BlockRun } from './verify/blockRuns.ts';

/** Sizes of a disk's block map. */
export interface MapShape {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly pageBlocks: number;
}

/** The block map of one disk of one point, wherever its nodes are read from: a tree (meta) or a page table (staging). */
export interface BlockMap extends MapShape {
  /** Blocks that are not absent. */
  readonly present: number;
  /**
   * Blocks that are known to be damaged, ascending, as [first, count]: a plan reads them again whatever tracking says, and a
   * move uses nothing that the map holds for them. Absent: none.
   */
  readonly damaged?: readonly BlockRun[];
  /** References to the pages of node `index`: `NODE_PAGES` places. May be called in any order; recent nodes are kept. */
  node(index: number, signal?: AbortSignal): Promise<readonly (Ref | null)[]>;
}

export const blocksOf = ({ sizeBytes, blockBytes }: MapShape): number => Math.ceil(sizeBytes / blockBytes);
export const pagesOf = (shape: MapShape): number => Math.ceil(blocksOf(shape) / shape.pageBlocks);
export const nodesOf = (shape: MapShape): number => Math.ceil(pagesOf(shape) / NODE_PAGES);

export const EMPTY_NODE: readonly null[] = Object.freeze(Array.from({ length: NODE_PAGES }, () => null));

/** The references of pages [from, to) that exist, in order. */
export async function* pageRefs(
  map: BlockMap,
  from = 0,
  to = pagesOf(map),
  signal?: AbortSignal,
): AsyncIterable<{ page: number; ref: Ref }> {
  for (let node = Math.floor(from / NODE_PAGES); node * NODE_PAGES < to; node++) {
    const refs = await map.node(node, signal);
    const first = node * NODE_PAGES;
    for (let page = Math.max(from, first); page < Math.min(to, first + NODE_PAGES); page++) {
      const ref = refs[page - first];
      if (ref) yield { page, ref };
    }
  }
}
