import { type BlockMap, nodesOf } from './blockMap.ts';
import { NODE_PAGES } from './chain.ts';
import type { Ref } from './refs.ts';

/** A page that two maps do not share. Null: it has no blocks there. */
export interface DifferentPage {
  readonly page: number;
  readonly one: Ref | null;
  readonly other: Ref | null;
}

/**
 * The pages that two maps of one disk do not share, in disk order, by comparing their references: no page is read. Pages that
 * are not shared may still hold the same blocks. Memory: a node of each.
 */
export async function* differentPages(
  one: BlockMap,
  other: BlockMap,
  signal?: AbortSignal,
): AsyncIterable<DifferentPage> {
  for (let index = 0; index < Math.max(nodesOf(one), nodesOf(other)); index++) {
    const a = index < nodesOf(one) ? await one.node(index, signal) : [];
    const b = index < nodesOf(other) ? await other.node(index, signal) : [];
    for (let i = 0; i < NODE_PAGES; i++) {
      const refs = { one: a[i] ?? null, other: b[i] ?? null };
      if (!same(refs.one, refs.other)) yield { page: index * NODE_PAGES + i, ...refs };
    }
  }
}

const same = (one: Ref | null, other: Ref | null): boolean =>
  one === other ||
  (one !== null &&
    other !== null &&
    one.record === other.record &&
    one.object.sequence === other.object.sequence &&
    one.object.disk === other.object.disk &&
    one.object.shard === other.object.shard &&
    one.object.attempt === other.object.attempt);
