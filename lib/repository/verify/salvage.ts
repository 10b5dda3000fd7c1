import { isHoldfastError } from '../../model/index.ts';
import { type BlockMap, blocksOf, pageRefs } from '../blockMap.ts';
import { BlockReader, type DiskBlock } from '../blockReader.ts';
import { type ChainData, MapObjects } from '../mapObjects.ts';
import type { Page } from '../page.ts';
import type { Ref } from '../refs.ts';
import { type BlockRun, blocksWithin } from './blockRuns.ts';

/** What a stretch of a disk still holds. Each in disk order, but not with respect to each other. */
export type Salvaged =
  | { readonly kind: 'blocks'; readonly blocks: readonly DiskBlock[] }
  /** Blocks that cannot be read. `object` is to blame; null where it is not known any more. `blocks`: how many held data. */
  | {
      readonly kind: 'lost';
      readonly run: BlockRun;
      readonly blocks: number;
      readonly object: string | null;
    };

/**
 * Reads what can be read of pages [from, to), and says what cannot: a page of which a run fails is read block by block, so
 * that nothing is lost but what is damaged. What the store fails with otherwise is thrown: it is no damage.
 */
export async function* salvageBlocks(
  chain: ChainData,
  map: BlockMap,
  { from, to }: { readonly from: number; readonly to: number },
  signal?: AbortSignal,
): AsyncGenerator<Salvaged> {
  const maps = new MapObjects(chain);
  const reader = new BlockReader(chain, maps);
  let next = from;
  for await (const { page, ref } of pageRefs(map, from, to, signal)) {
    yield* leftOut(map, next, page);
    next = page + 1;
    yield* salvagePage({ chain, maps, reader, map }, page, ref, signal);
  }
  yield* leftOut(map, next, to);
}

/** Pages without a reference: absent, or left out of a page table because their node could not be read. */
function* leftOut(map: BlockMap, from: number, to: number): Iterable<Salvaged> {
  const end = Math.min(to * map.pageBlocks, blocksOf(map));
  for (const block of blocksWithin(map.damaged ?? [], from * map.pageBlocks, end))
    yield { kind: 'lost', run: [block, 1], blocks: 1, object: null };
}

interface Salvaging {
  readonly chain: ChainData;
  readonly maps: MapObjects;
  readonly reader: BlockReader;
  readonly map: BlockMap;
}

async function* salvagePage(
  { maps, reader, map }: Salvaging,
  page: number,
  ref: Ref,
  signal?: AbortSignal,
): AsyncGenerator<Salvaged> {
  const first = page * map.pageBlocks;
  const span = Math.min(map.pageBlocks, blocksOf(map) - first);
  let content: Page;
  try {
    content = await maps.page(ref, signal);
  } catch (error) {
    yield { kind: 'lost', run: [first, span], blocks: ref.present, object: damagedObject(error) };
    return;
  }
  const got = new Set<number>();
  try {
    for await (const blocks of reader.read(map, page, page + 1, signal)) {
      for (const { block } of blocks) got.add(block);
      yield { kind: 'blocks', blocks };
    }
    return;
  } catch (error) {
    damagedObject(error);
  }
  for (let i = 0; i < span; i++) {
    if (!content.get(i) || got.has(first + i)) continue;
    try {
      const bytes = await reader.block(content, i, signal);
      if (bytes) yield { kind: 'blocks', blocks: [{ block: (first + i) as DiskBlock['block'], bytes }] };
    } catch (error) {
      yield { kind: 'lost', run: [first + i, 1], blocks: 1, object: damagedObject(error) };
    }
  }
}

function damagedObject(error: unknown): string | null {
  if (isHoldfastError(error, 'corruptObject') || isHoldfastError(error, 'missingObject'))
    return error.target ?? null;
  throw error;
}
