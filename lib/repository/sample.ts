import { type BlockIndex, blockIndex, type MoveResult } from '../model/index.ts';
import { BlockReader } from './blockReader.ts';
import { type Chain, chainData } from './chain.ts';
import { corruptObject } from './damage.ts';
import { MapObjects } from './mapObjects.ts';
import { type MapId, type PackId, parseMapName } from './names.ts';

/** A block as the repository now has it: null when it is absent, which reads as zeros. */
export interface SampledBlock {
  readonly block: BlockIndex;
  readonly bytes: Buffer | null;
}

/**
 * Up to `count` blocks out of the pages that shards have just written, read back through map object, pack and cipher: what
 * a restore would get. For comparing with the source before the point is committed and access to it is given up.
 *
 * @param random in [0, 1)
 * @param blocks of the disk; none past its end is chosen
 */
export async function* sampleWritten(
  chain: Chain,
  shards: readonly Pick<MoveResult, 'map'>[],
  { count, blocks, random = Math.random }: { count: number; blocks: number; random?: () => number },
): AsyncIterable<SampledBlock> {
  const maps = new MapObjects(chainData(chain));
  const reader = new BlockReader(chainData(chain), maps);
  for (let n = 0; n < count && shards.length > 0; n++) {
    const { map } = shards[Math.floor(random() * shards.length)] ?? { map: '' };
    const object = parseMapName(map);
    if (!object) throw corruptObject(map, 'it is not the name of a map object');
    const { pages } = await maps.directory(object);
    const entry = pages[Math.floor(random() * pages.length)];
    if (!entry) continue;
    const { page, record, present } = entry;
    const first = page * chain.pageBlocks;
    const content = record === null ? null : await maps.page({ object, record, present });
    const all = Array.from({ length: Math.min(chain.pageBlocks, blocks - first) }, (_, i) => i);
    // Mostly what this shard stored; now and then any block of its pages, kept, absent or cleared.
    const stored = all.filter((i) => isOf(content?.get(i)?.pack, object));
    const among = stored.length > 0 && n % 4 !== 3 ? stored : all;
    const within = among[Math.floor(random() * among.length)] ?? 0;
    yield { block: blockIndex(first + within), bytes: content && (await reader.block(content, within)) };
  }
}

const isOf = (pack: PackId | undefined, { sequence, disk, shard, attempt }: MapId): boolean =>
  pack?.sequence === sequence && pack.disk === disk && pack.shard === shard && pack.attempt === attempt;
