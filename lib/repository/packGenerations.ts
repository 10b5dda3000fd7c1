import { isHoldfastError } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { corruptObject, decoding, missingObject } from './damage.ts';
import type { ChainData, MapObjects } from './mapObjects.ts';
import { generationName, generationsPrefix, type PackId, packName, parsePackName } from './names.ts';
import { PackIndex } from './packIndex.ts';
import { Recent } from './recent.ts';
import { RecordReader } from './recordObject.ts';
import { KIND } from './sealedObject.ts';

/**
 * An object that holds blocks of a pack. Generation 0 is the pack as its shard wrote it, with all of its ordinals. Compaction
 * writes higher ones, with the same ordinals; those that it left out have length 0 in `index`.
 */
export interface PackAt {
  readonly pack: PackId;
  readonly generation: number;
  readonly name: string;
  /** Extents are those of this very object. */
  readonly index: PackIndex;
}

/** A generation is less than half as long as the one it was made of, so that no pack has more. */
export const MAX_GENERATIONS = 40;

const INDEXES_KEPT_BLOCKS = 256 * 1024;
const GENERATIONS_KEPT = 64 * 1024;

export const holds = ({ generation, index }: PackAt, ordinal: number): boolean =>
  generation === 0 || (index.lengths[ordinal] ?? 0) > 0;

/** Where the blocks of packs are now. Asks the store only when what it knows turns out to be gone. */
export class PackGenerations {
  readonly #chain: ChainData;
  readonly #maps: MapObjects;
  readonly #known = new Map<string, number>();
  readonly #indexes = new Recent<PackIndex>(INDEXES_KEPT_BLOCKS, (index) => index.blocks + 1);

  constructor(chain: ChainData, maps: MapObjects) {
    this.#chain = chain;
    this.#maps = maps;
  }

  /** The generation that was met last; without any, 0. Reads no pack in that case. */
  async at(pack: PackId, signal?: AbortSignal): Promise<PackAt> {
    const generation = this.#known.get(packName(this.#chain.id, pack)) ?? 0;
    try {
      return await this.open(pack, generation, signal);
    } catch (error) {
      const name = generationName(this.#chain.id, pack, generation);
      if (generation === 0 || !isHoldfastError(error, 'missingObject') || error.target !== name) throw error;
      return this.newer(await this.open(pack, 0, signal), signal);
    }
  }

  /** `than` is gone, or lacks an ordinal: the highest generation, which is a later one. Without any, the error names `than`. */
  async newer(than: PackAt, signal?: AbortSignal, lacking?: number): Promise<PackAt> {
    const { data, id: chain } = this.#chain;
    const generation = await highestGeneration(data, chain, than.pack, than.generation, signal);
    if (generation <= than.generation) {
      throw lacking === undefined
        ? missingObject(than.name, data.name)
        : corruptObject(than.name, `it does not hold block ${lacking}`);
    }
    if (this.#known.size >= GENERATIONS_KEPT) this.#known.clear();
    this.#known.set(packName(chain, than.pack), generation);
    try {
      return await this.open(than.pack, generation, signal);
    } catch (error) {
      const name = generationName(chain, than.pack, generation);
      if (!isHoldfastError(error, 'missingObject') || error.target !== name) throw error;
      // It was replaced in its turn between the listing and the reading.
      return this.newer({ ...than, generation, name }, signal);
    }
  }

  /** The index of one generation: for 0 from the map object, for others from the object itself, compared with that of 0. */
  async open(pack: PackId, generation: number, signal?: AbortSignal): Promise<PackAt> {
    const { id: chain, data, keys } = this.#chain;
    const name = generationName(chain, pack, generation);
    const original = await this.#maps.packIndex(pack, signal);
    if (generation === 0) return { pack, generation, name, index: original };
    const index = await this.#indexes.get(name, async () => {
      const reader = await RecordReader.open(data, keys.seal, { kind: KIND.pack, chain, name }, { signal });
      const own = decoding(name, 'its index', () => PackIndex.fromPayload(reader.lengths(), reader.payload));
      const same =
        own.payload().equals(original.payload()) &&
        own.lengths.every((length, i) => length === 0 || length === original.lengths[i]);
      if (!same) throw corruptObject(name, 'its index is not that of the pack it was made of');
      return own;
    });
    return { pack, generation, name, index };
  }
}

/**
 * The highest generation of a pack that there is, by listing; -1 without any. Who may not list (a worker) asks for one after
 * the other, from the one after `known` on: lower generations go first, so what there is has no gaps above its lowest.
 */
export async function highestGeneration(
  data: BlobStore,
  chain: string,
  pack: PackId,
  known: number,
  signal?: AbortSignal,
): Promise<number> {
  let highest = -1;
  try {
    for await (const { name } of data.list(generationsPrefix(chain, pack), { signal })) {
      highest = Math.max(highest, parsePackName(name)?.generation ?? -1);
    }
  } catch (error) {
    if (!isHoldfastError(error, 'accessDenied')) throw error;
    for (let generation = known + 1; generation <= MAX_GENERATIONS; generation++) {
      const there = (await data.stat(generationName(chain, pack, generation), { signal })) !== null;
      if (there) highest = generation;
      else if (highest > known) break;
    }
  }
  return highest;
}
