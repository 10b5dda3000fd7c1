import { blocksOf, nodesOf } from '../blockMap.ts';
import { type Chain, NODE_PAGES } from '../chain.ts';
import { damageIn } from '../checkContent.ts';
import type { PointManifest } from '../manifest.ts';
import type { MapObjects } from '../mapObjects.ts';
import { mapName, type PackId, packName, parseMapName, sequenceOf, treeName } from '../names.ts';
import type { Page } from '../page.ts';
import type { Ref } from '../refs.ts';
import { SeenRecords } from '../seenRecords.ts';
import { TreeMap, Trees } from '../tree.ts';
import type { BadPack } from './badPacks.ts';
import { coarsen, RunList } from './blockRuns.ts';
import { type DiskDamage, MAX_OBJECTS, MAX_RUNS } from './pointState.ts';

/** Objects that are (or may be) damaged. */
export interface Suspects {
  /** By the name of generation 0. */
  readonly packs: ReadonlyMap<string, BadPack>;
  /** Names of tree and map objects: whether they can be read is tried where a point needs them. */
  readonly metadata: ReadonlySet<string>;
}

/** A block of a point that cannot be read, because its pack is damaged. */
export interface LostBlock {
  readonly disk: number;
  readonly block: number;
  readonly pack: PackId;
  readonly ordinal: number;
}

interface Part {
  /** Blocks from the start of the page or node. */
  readonly runs: RunList;
  readonly objects: Set<string>;
  readonly lost: { block: number; pack: PackId; ordinal: number }[];
  /** Blocks that cannot be read; fewer than the runs cover where it is not known which are present. */
  blocks: number;
}

const newPart = (): Part => ({ runs: new RunList(), objects: new Set(), lost: [], blocks: 0 });

function append(to: Part, part: Part, offset: number): void {
  for (const [first, count] of part.runs.runs) to.runs.add(offset + first, count);
  for (const object of part.objects) to.objects.add(object);
  for (const lost of part.lost) to.lost.push({ ...lost, block: offset + lost.block });
  to.blocks += part.blocks;
}

function wholly(object: string, span: number, present: number): Part {
  const part = newPart();
  part.runs.add(0, span);
  part.objects.add(object);
  part.blocks = present;
  return part;
}

/**
 * Finds which blocks of points need what is damaged. Each node and page is read once, however many points share it; only
 * those that can refer to a suspect are read at all: nothing refers to an object of a later session.
 */
export class DamageWalk {
  /** Suspected packs, by the name of generation 0, of which the points that were walked need a block. */
  readonly needed = new Set<string>();
  readonly #chain: Chain;
  readonly #trees: Trees;
  readonly #maps: MapObjects;
  readonly #suspects: Suspects;
  readonly #least: number;
  readonly #sound = new SeenRecords();
  readonly #parts = new Map<string, Part>();
  readonly #readable = new Map<string, string | null>();

  constructor(chain: Chain, maps: MapObjects, suspects: Suspects) {
    this.#chain = chain;
    this.#trees = new Trees(chain);
    this.#maps = maps;
    this.#suspects = suspects;
    const sequences = [...suspects.packs.values()].map(({ pack }) => pack.sequence);
    for (const name of suspects.metadata)
      sequences.push(parseMapName(name)?.sequence ?? sequenceOf(name) ?? 0);
    this.#least = sequences.reduce((least, sequence) => Math.min(least, sequence), Infinity);
  }

  /** The damage of each disk of the point; disks that can be read whole are left out. `lost` gets the blocks of packs. */
  async point(
    manifest: PointManifest,
    lost: (block: LostBlock) => void = () => undefined,
    signal?: AbortSignal,
  ): Promise<DiskDamage[]> {
    const damage: DiskDamage[] = [];
    if (manifest.sequence < this.#least) return damage;
    for (const disk of manifest.disks) {
      const part = await this.#disk(disk, signal);
      if (part.objects.size === 0) continue;
      for (const block of part.lost) lost({ disk: disk.number, ...block });
      const blocks = blocksOf({ ...this.#chain, sizeBytes: disk.sizeBytes });
      const runs = new RunList();
      for (const [first, count] of part.runs.runs)
        if (first < blocks) runs.add(first, Math.min(count, blocks - first));
      const objects = [...part.objects].sort();
      damage.push({
        disk: disk.number,
        blocks: Math.max(1, part.blocks),
        ranges: coarsen(runs.runs, MAX_RUNS).map(([first, count]): [number, number] => [first, count]),
        objects: objects.slice(0, MAX_OBJECTS),
        moreObjects: Math.max(0, objects.length - MAX_OBJECTS),
      });
    }
    return damage;
  }

  async #disk(
    { tree, sizeBytes, allocatedBytes }: PointManifest['disks'][number],
    signal?: AbortSignal,
  ): Promise<Part> {
    const { blockBytes, pageBlocks } = this.#chain;
    const part = newPart();
    let map: TreeMap;
    try {
      map = await TreeMap.open(this.#chain, tree, sizeBytes, this.#trees, signal);
    } catch (error) {
      const { target = treeName(this.#chain.id, tree) } = damageIn(error);
      return wholly(target, blocksOf({ ...this.#chain, sizeBytes }), Math.ceil(allocatedBytes / blockBytes));
    }
    for (let index = 0; index < nodesOf(map); index++) {
      const ref = map.nodeRef(index);
      if (!ref || ref.object.sequence < this.#least) continue;
      const name = treeName(this.#chain.id, ref.object);
      const node = await this.#once(name, ref.record, () => this.#node(map, index, ref, signal));
      if (node) append(part, node, index * NODE_PAGES * pageBlocks);
    }
    return part;
  }

  async #once(object: string, record: number, find: () => Promise<Part>): Promise<Part | null> {
    const key = `${object} ${record}`;
    const known = this.#parts.get(key);
    if (known) return known;
    if (!this.#sound.add(object, record)) return null;
    const part = await find();
    if (part.objects.size === 0) return null;
    this.#parts.set(key, part);
    return part;
  }

  async #node(map: TreeMap, index: number, ref: Ref, signal?: AbortSignal): Promise<Part> {
    const { pageBlocks, id } = this.#chain;
    const part = newPart();
    let refs: readonly (Ref | null)[];
    try {
      refs = await map.node(index, signal);
    } catch (error) {
      const { target = treeName(id, ref.object) } = damageIn(error);
      return wholly(target, NODE_PAGES * pageBlocks, ref.present);
    }
    for (const [place, pageRef] of refs.entries()) {
      if (!pageRef || pageRef.object.sequence < this.#least) continue;
      const name = mapName(id, pageRef.object);
      const page = await this.#once(name, pageRef.record, () => this.#page(pageRef, signal));
      if (page) append(part, page, place * pageBlocks);
    }
    return part;
  }

  async #page(ref: Ref, signal?: AbortSignal): Promise<Part> {
    const part = newPart();
    let content: Page;
    try {
      content = await this.#maps.page(ref, signal);
    } catch (error) {
      const { target = mapName(this.#chain.id, ref.object) } = damageIn(error);
      return wholly(target, this.#chain.pageBlocks, ref.present);
    }
    for (let block = 0; block < content.blocks; block++) {
      const found = content.get(block);
      if (!found) continue;
      const objects = await this.#damageOf(found.pack, found.ordinal, signal);
      if (objects.length === 0) continue;
      part.runs.add(block);
      part.blocks++;
      for (const object of objects) part.objects.add(object);
      part.lost.push({ block, pack: found.pack, ordinal: found.ordinal });
    }
    return part;
  }

  /** The damaged objects because of which a block cannot be read. */
  async #damageOf(pack: PackId, ordinal: number, signal?: AbortSignal): Promise<readonly string[]> {
    const name = packName(this.#chain.id, pack);
    const bad = this.#suspects.packs.get(name);
    if (bad) this.needed.add(name);
    if (bad && (bad.ordinals === null || bad.ordinals.has(ordinal))) return [...bad.problems.keys()];
    const map = mapName(this.#chain.id, pack);
    if (!this.#suspects.metadata.has(map)) return [];
    let object = this.#readable.get(name);
    if (object === undefined) {
      object = await this.#maps.packIndex(pack, signal).then(
        () => null,
        (error: unknown) => damageIn(error).target ?? map,
      );
      this.#readable.set(name, object);
    }
    return object === null ? [] : [object];
  }
}
