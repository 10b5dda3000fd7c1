import type { Chain } from '../chain.ts';
import {
  generationName,
  type MapId,
  mapsPrefix,
  type PackId,
  packsPrefix,
  parseMapName,
  parsePackName,
  parsePointName,
  pointsPrefix,
  sequenceOf,
} from '../names.ts';
import { shardKey } from './bitColumns.ts';

/** A compacted generation of a pack. */
export interface Generation {
  readonly generation: number;
  readonly bytes: number;
  /** By the store's clock. */
  readonly writtenAt: Date;
}

interface ListedShard {
  readonly id: MapId;
  /** Bytes of generation 0 by the number of the pack; -1: not there. */
  readonly sizes: number[];
  readonly compacted: Map<number, Generation[]>;
}

/** A pack as it was listed. */
export interface ListedPack {
  readonly id: PackId;
  /** Bytes of generation 0, or null when it is not there (any more). */
  readonly bytes: number | null;
  /** Higher generations, ascending. */
  readonly compacted: readonly Generation[];
}

/**
 * The objects of a chain at one moment: what collection may touch. What appears later is not in it. Memory: a name for each
 * tree and map object, 8 bytes for each pack.
 */
export class FrozenList {
  /** Tree and map objects by name, with their bytes. */
  readonly trees = new Map<string, number>();
  readonly maps = new Map<string, { id: MapId; bytes: number }>();
  /** The highest number in any name. */
  highest = 0;
  readonly #shards = new Map<string, ListedShard>();

  static async of(chain: Chain, signal?: AbortSignal): Promise<FrozenList> {
    const list = new FrozenList();
    const { meta, data } = chain.repository;
    for await (const { name, size } of meta.list(mapsPrefix(chain.id), { signal })) {
      if (!list.#number(name)) continue;
      if (name.endsWith('.tree')) list.trees.set(name, size);
    }
    for await (const { name, size } of data.list(mapsPrefix(chain.id), { signal })) {
      const id = list.#number(name) && parseMapName(name);
      if (id) list.maps.set(name, { id, bytes: size });
    }
    for await (const { name, size, lastModified } of data.list(packsPrefix(chain.id), { signal })) {
      const parsed = list.#number(name) && parsePackName(name);
      if (parsed && generationName(chain.id, parsed.id, parsed.generation) === name)
        list.#addPack(parsed.id, parsed.generation, size, lastModified);
    }
    return list;
  }

  #number(name: string): boolean {
    const sequence = sequenceOf(name);
    this.highest = Math.max(this.highest, sequence ?? 0);
    return sequence !== null;
  }

  #addPack(id: PackId, generation: number, bytes: number, writtenAt: Date): void {
    const key = shardKey(id);
    const known = this.#shards.get(key);
    const shard = known ?? { id, sizes: [], compacted: new Map<number, Generation[]>() };
    if (!known) this.#shards.set(key, shard);
    while (shard.sizes.length <= id.number) shard.sizes.push(-1);
    if (generation === 0) shard.sizes[id.number] = bytes;
    else {
      const all = [...(shard.compacted.get(id.number) ?? []), { generation, bytes, writtenAt }];
      shard.compacted.set(
        id.number,
        all.sort((a, b) => a.generation - b.generation),
      );
    }
  }

  /** All packs of which there is any generation. */
  *packs(): Iterable<ListedPack> {
    for (const { id, sizes } of this.#shards.values()) {
      for (let number = 0; number < sizes.length; number++) {
        const pack = this.pack({ ...id, number });
        if (pack) yield pack;
      }
    }
  }

  pack(id: PackId): ListedPack | null {
    const shard = this.#shards.get(shardKey(id));
    const bytes = shard?.sizes[id.number] ?? -1;
    const compacted = shard?.compacted.get(id.number) ?? [];
    if (bytes < 0 && compacted.length === 0) return null;
    return { id: { ...id }, bytes: bytes < 0 ? null : bytes, compacted };
  }
}

/** What is in the `points` folder of a chain. */
export interface Numbers {
  readonly manifests: ReadonlySet<number>;
  readonly claims: ReadonlyMap<number, PointFile>;
  readonly states: ReadonlyMap<number, PointFile>;
}
export interface PointFile {
  readonly name: string;
  readonly bytes: number;
  readonly etag: string;
  readonly lastModified: Date;
}

export async function listNumbers({ id, repository }: Chain, signal?: AbortSignal): Promise<Numbers> {
  const manifests = new Set<number>();
  const claims = new Map<number, PointFile>();
  const states = new Map<number, PointFile>();
  for await (const { name, size, etag, lastModified } of repository.meta.list(pointsPrefix(id), { signal })) {
    const point = parsePointName(name);
    const file = { name, bytes: size, etag, lastModified };
    if (point?.kind === 'manifest') manifests.add(point.sequence);
    if (point?.kind === 'session') claims.set(point.sequence, file);
    if (point?.kind === 'state') states.set(point.sequence, file);
  }
  return { manifests, claims, states };
}
