import { isHoldfastError } from '../../model/index.ts';
import { type BlockMap, pageRefs } from '../blockMap.ts';
import type { MapObjects } from '../mapObjects.ts';
import type { MapId } from '../names.ts';
import type { Ref } from '../refs.ts';

/** A map object is worth leaving when less than this share of its pages is needed. */
const LEAVE_BELOW = 1 / 4;
/** Map objects that one backup looks into. Each is read once; the next backup looks into the next ones. */
export const MAPS_EXAMINED = 32;
const AT_ONCE = 8;
/** Pages that one backup writes anew for this. */
export const PAGES_REWRITTEN = 1024;

export interface MapUse {
  readonly pages: number;
  readonly livePages: number;
  /** The pages that are needed refer to packs of the same shard: their indexes keep the map object, whatever its pages do. */
  readonly holdsPacks: boolean;
}

/** Pure: is a map object kept for a few pages only? Then writing these anew frees it. */
export const isSparseMap = ({ pages, livePages, holdsPacks }: MapUse): boolean =>
  !holdsPacks && livePages > 0 && livePages < pages * LEAVE_BELOW;

export interface PlanMapRewrite {
  readonly parent: BlockMap;
  readonly maps: MapObjects;
  /** The number that is being written: which map objects are looked into goes round with it. */
  readonly sequence: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The pages of the parent that lie in map objects which it needs for less than a quarter of their pages and for no block
 * index. A backup on top of it that writes them anew (as they are, or changed) lets those objects go with the older points.
 * Bounded: reads the parent's nodes, the directories of at most `MAPS_EXAMINED` map objects, and fewer pages than their
 * quarters; gives at most `PAGES_REWRITTEN` pages. Only what the parent needs is looked at: an object that older points need
 * too goes when they do, and none is written anew twice.
 */
export async function planMapRewrite(work: PlanMapRewrite): Promise<ReadonlySet<number>> {
  const candidates = await thinlyUsed(work, await usesOf(work));
  const pages = new Map<string, { page: number; ref: Ref }[]>([...candidates.keys()].map((key) => [key, []]));
  if (candidates.size > 0) {
    for await (const found of pageRefs(work.parent, undefined, undefined, work.signal))
      pages.get(keyOf(found.ref.object))?.push(found);
  }
  const rewrite = new Set<number>();
  for (const [key, use] of candidates) {
    const needed = pages.get(key) ?? [];
    if (await isSparse(work, use, needed)) for (const { page } of needed) rewrite.add(page);
  }
  return rewrite;
}

/** A map object that the parent needs. */
interface Use {
  readonly object: MapId;
  livePages: number;
}

const keyOf = ({ sequence, disk, shard, attempt }: MapId): string =>
  `${sequence}.${disk}.${shard}.${attempt}`;

/** The map objects that the parent needs, by age. */
async function usesOf({ parent, signal }: PlanMapRewrite): Promise<Use[]> {
  const uses = new Map<string, Use>();
  for await (const { ref } of pageRefs(parent, undefined, undefined, signal)) {
    const key = keyOf(ref.object);
    const use = uses.get(key);
    if (use) use.livePages++;
    else uses.set(key, { object: ref.object, livePages: 1 });
  }
  return [...uses.values()].sort(
    ({ object: a }, { object: b }) => a.sequence - b.sequence || a.shard - b.shard || a.attempt - b.attempt,
  );
}

/** This backup's share of the objects: those of which it needs few pages, within what it may write anew. */
async function thinlyUsed(
  work: PlanMapRewrite,
  uses: readonly Use[],
): Promise<ReadonlyMap<string, MapUse & Use>> {
  const found = new Map<string, MapUse & Use>();
  const first = uses.length > 0 ? (work.sequence * MAPS_EXAMINED) % uses.length : 0;
  const turn = [...uses.slice(first), ...uses.slice(0, first)].slice(0, MAPS_EXAMINED);
  const candidates = turn.filter(({ livePages }) => livePages <= PAGES_REWRITTEN);
  let budget = PAGES_REWRITTEN;
  for (let at = 0; at < candidates.length; at += AT_ONCE) {
    const some = candidates.slice(at, at + AT_ONCE);
    const directories = await Promise.all(
      some.map(({ object }) => unlessDamaged(work.maps.directory(object, work.signal))),
    );
    for (const [i, use] of some.entries()) {
      const thin = { ...use, pages: directories[i]?.pages.length ?? 0, holdsPacks: false };
      if (use.livePages > budget || !isSparseMap(thin)) continue;
      found.set(keyOf(use.object), thin);
      budget -= use.livePages;
    }
  }
  return found;
}

/**
 * Do the needed pages refer to packs of their own shard? Other pages may: then writing these anew was in vain, once, for
 * their next place is another.
 */
async function isSparse(
  { maps, signal }: PlanMapRewrite,
  use: MapUse & Use,
  needed: readonly { ref: Ref }[],
): Promise<boolean> {
  for (const { ref } of needed) {
    const page = await unlessDamaged(maps.page(ref, signal));
    const holdsPacks = !page || page.packs.some((pack) => keyOf(pack) === keyOf(use.object));
    if (!isSparseMap({ ...use, holdsPacks })) return false;
  }
  return true;
}

/** Null for what is damaged: it is left as it is, for whoever verifies. */
async function unlessDamaged<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (isHoldfastError(error, 'missingObject') || isHoldfastError(error, 'corruptObject')) return null;
    throw error;
  }
}
