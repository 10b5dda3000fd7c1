import { nodesOf } from '../blockMap.ts';
import { type Chain, NODE_PAGES } from '../chain.ts';
import { MapObjects } from '../mapObjects.ts';
import type { MapId } from '../names.ts';
import { mapName } from '../names.ts';
import { chainData } from '../openPoint.ts';
import { TreeMap, Trees } from '../tree.ts';
import { type Survey, type SurveyOptions, surveyChain } from './survey.ts';

/** A map object is worth leaving when less than this share of its pages is needed. */
const LEAVE_BELOW = 1 / 4;

/** Pages of one disk that the next backup should write anew, in disk order. */
export interface PagesToRewrite {
  readonly disk: number;
  readonly pages: readonly number[];
}

export interface MapUse {
  readonly pages: number;
  readonly livePages: number;
  /** Packs of the same shard that hold needed blocks: their indexes keep the map object, whatever its pages do. */
  readonly livePacks: number;
}

/** Pure: is a map object kept for a few pages only? Then writing these anew frees it. */
export const isSparseMap = ({ pages, livePages, livePacks }: MapUse): boolean =>
  livePacks === 0 && livePages > 0 && livePages < pages * LEAVE_BELOW;

/**
 * The pages of the point `parent` that lie in map objects which are kept for less than a quarter of their pages and for no
 * pack. A backup on top of `parent` that writes them anew (as they are, or changed) lets those objects go with the older points.
 */
export async function planMapRewrite(
  chain: Chain,
  parent: number,
  options: SurveyOptions = {},
): Promise<PagesToRewrite[]> {
  const survey = await surveyChain(chain, options);
  const maps = new MapObjects(chainData(chain));
  const sparse = new Set<string>();
  for (const [name, livePages] of survey.marks.mapPages) {
    const id = survey.frozen.maps.get(name)?.id;
    if (id && isSparseMap(await mapUse(survey, maps, id, livePages, options.signal))) sparse.add(name);
  }
  const root = survey.roots.find(({ sequence }) => sequence === parent);
  const result: PagesToRewrite[] = [];
  if (sparse.size === 0) return result;
  const trees = new Trees(chain);
  for (const disk of root?.disks ?? []) {
    const map = await TreeMap.open(chain, disk.tree, disk.sizeBytes, trees, options.signal);
    const pages: number[] = [];
    for (let index = 0; index < nodesOf(map); index++) {
      const refs = await map.node(index, options.signal);
      refs.forEach((ref, i) => {
        if (ref && sparse.has(mapName(chain.id, ref.object))) pages.push(index * NODE_PAGES + i);
      });
    }
    if (pages.length > 0) result.push({ disk: disk.tree.disk, pages });
  }
  return result;
}

async function mapUse(
  { marks }: Survey,
  maps: MapObjects,
  id: MapId,
  livePages: number,
  signal?: AbortSignal,
): Promise<MapUse> {
  const directory = await maps.directory(id, signal);
  return {
    pages: directory.pages.filter(({ record }) => record !== null).length,
    livePages,
    livePacks: directory.packs.filter(({ number }) => marks.blocks.any({ ...id, number })).length,
  };
}
