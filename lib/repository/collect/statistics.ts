import { nodesOf } from '../blockMap.ts';
import { type Chain, chainData } from '../chain.ts';
import { inOrder, type SizedTask } from '../inOrder.ts';
import { MapObjects } from '../mapObjects.ts';
import { mapName, type PackId, treeName } from '../names.ts';
import { holds, PackGenerations } from '../packGenerations.ts';
import type { Page } from '../page.ts';
import type { Ref } from '../refs.ts';
import { SeenRecords } from '../seenRecords.ts';
import { TreeMap, Trees } from '../tree.ts';
import { BlockBits } from './bitColumns.ts';
import { MANY, Owners } from './owners.ts';
import type { Root } from './roots.ts';
import { type Survey, type SurveyOptions, surveyChain } from './survey.ts';

/** Sizes are stored bytes. A block's are its own, compressed, with its tag. */
export interface ChainStatistics {
  readonly chain: string;
  readonly points: readonly PointStatistics[];
  /** Numbers that hold no point. */
  readonly voids: number;
  readonly packs: {
    /** Objects, compacted generations included, and those among them that hold no block that is needed. */
    readonly count: number;
    readonly dead: number;
    readonly bytes: number;
  };
  /** Blocks that a point, or another root of collection, reaches. */
  readonly liveBytes: number;
  /** The part of it that more than one point reaches, and the part that no point reaches any more: kept for a while. */
  readonly sharedBytes: number;
  readonly retainedBytes: number;
  /** Pack bytes of decided numbers that nothing reaches: what collection and compaction can free, headers and indexes left aside. */
  readonly deadBytes: number;
  /** Packs of sessions under way. */
  readonly undecidedBytes: number;
  readonly mapBytes: number;
  readonly treeBytes: number;
}

export interface PointStatistics {
  readonly sequence: number;
  /** Blocks that no other root reaches: what its removal would free in the end. */
  readonly exclusiveBytes: number;
  readonly exclusiveBlocks: number;
}

const PAGES_AT_ONCE = { bytes: 16 * 1024 * 1024, tasks: 16 };
const PAGE_BYTES = 16 * 1024;

/**
 * Counts what a chain's points share. Nodes, then pages, then blocks: what lies under a node that many points share is read
 * once. Memory: two bits a block, four bytes a page. Reads all pages three times at most and the indexes of packs in use, no
 * pack of generation 0.
 */
export async function chainStatistics(chain: Chain, options: SurveyOptions = {}): Promise<ChainStatistics> {
  const survey = await surveyChain(chain, options);
  const owned = new OwnedBlocks(survey, options.signal);
  await owned.find();
  const totals = await packTotals(survey, owned, options.signal);
  const points = survey.roots
    .map(({ sequence, why }, i) => ({ sequence, why, ...owned.exclusive(i + 1) }))
    .sort((a, b) => a.sequence - b.sequence);
  const isPoint = ({ why }: Pick<Root, 'why'>) => why === 'point';
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, one) => total + one, 0);
  return {
    chain: chain.id,
    points: points.filter(isPoint).map(({ sequence, exclusiveBytes, exclusiveBlocks }) => ({
      sequence,
      exclusiveBytes,
      exclusiveBlocks,
    })),
    voids: [...survey.decided.values()].filter(({ state }) => state === 'void').length,
    ...totals,
    mapBytes: sum([...survey.frozen.maps.values()].map(({ bytes }) => bytes)),
    treeBytes: sum(survey.frozen.trees.values()),
  };
}

/** Which blocks one root alone reaches, which only roots that are no points, and which several points. */
class OwnedBlocks {
  /** Blocks that more than one point reaches, and blocks that any point reaches. */
  readonly shared = new BlockBits();
  readonly ofPoints = new BlockBits();
  readonly #many = new BlockBits();
  readonly #survey: Survey;
  readonly #maps: MapObjects;
  readonly #trees: Trees;
  readonly #exclusive = new Map<number, { exclusiveBytes: number; exclusiveBlocks: number }>();
  readonly #signal: AbortSignal | undefined;

  constructor(survey: Survey, signal?: AbortSignal) {
    this.#survey = survey;
    this.#maps = new MapObjects(chainData(survey.chain));
    this.#trees = new Trees(survey.chain);
    this.#signal = signal;
  }

  exclusive(owner: number): { exclusiveBytes: number; exclusiveBlocks: number } {
    return this.#exclusive.get(owner) ?? { exclusiveBytes: 0, exclusiveBlocks: 0 };
  }

  async find(): Promise<void> {
    const points = this.#survey.roots.filter(({ why }) => why === 'point');
    await this.#share(points, this.shared, this.ofPoints);
    const pageOwners = await this.#share(this.#survey.roots, this.#many, new BlockBits());
    const alone = (ref: Ref) => pageOwners.of(mapName(this.#survey.chain.id, ref.object), ref.record) > 0;
    for await (const { ref, page } of this.#pages(this.#survey.roots, alone)) {
      const owner = pageOwners.of(mapName(this.#survey.chain.id, ref.object), ref.record);
      for (let block = 0; block < page.blocks; block++) {
        const found = page.get(block);
        if (found && !this.#many.has(found.pack, found.ordinal))
          await this.#count(owner, found.pack, found.ordinal);
      }
    }
  }

  async #count(owner: number, pack: PackId, ordinal: number): Promise<void> {
    const { length } = (await this.#maps.packIndex(pack, this.#signal)).extent(ordinal);
    const known = this.exclusive(owner);
    this.#exclusive.set(owner, {
      exclusiveBytes: known.exclusiveBytes + length,
      exclusiveBlocks: known.exclusiveBlocks + 1,
    });
  }

  /** Fills `many` with the blocks that several of the roots reach, `all` with those that any does. */
  async #share(roots: readonly Root[], many: BlockBits, all: BlockBits): Promise<Owners> {
    const { chain } = this.#survey;
    const nodes = new Owners();
    for (const [i, root] of roots.entries()) {
      for await (const { nodeRef } of this.#nodes(root))
        nodes.merge(treeName(chain.id, nodeRef.object), nodeRef.record, i + 1);
    }
    const pages = new Owners();
    const seen = new SeenRecords();
    for (const root of roots) {
      for await (const { nodeRef, map, index } of this.#nodes(root)) {
        const name = treeName(chain.id, nodeRef.object);
        if (!seen.add(name, nodeRef.record)) continue;
        const owner = nodes.of(name, nodeRef.record);
        for (const ref of await map.node(index, this.#signal)) {
          if (!ref) continue;
          // What lies under a shared node is shared, whatever else reaches it.
          const page = mapName(chain.id, ref.object);
          pages.merge(page, ref.record, owner);
        }
      }
    }
    for await (const { ref, page } of this.#pages(roots, () => true)) {
      const shared = pages.of(mapName(chain.id, ref.object), ref.record) === MANY;
      for (let block = 0; block < page.blocks; block++) {
        const found = page.get(block);
        if (!found) continue;
        const first = all.add(found.pack, found.ordinal);
        if (shared || !first) many.add(found.pack, found.ordinal);
      }
    }
    return pages;
  }

  async *#nodes({ disks }: Root): AsyncGenerator<{ map: TreeMap; index: number; nodeRef: Ref }> {
    const { chain, marks } = this.#survey;
    for (const { tree, sizeBytes } of disks) {
      if (marks.gone.size > 0 && marks.gone.has(treeName(chain.id, tree))) continue;
      const map = await TreeMap.open(chain, tree, sizeBytes, this.#trees, this.#signal);
      for (let index = 0; index < nodesOf(map); index++) {
        const nodeRef = map.nodeRef(index);
        if (nodeRef && !marks.gone.has(treeName(chain.id, nodeRef.object))) yield { map, index, nodeRef };
      }
    }
  }

  /** Each page once. */
  async *#pages(
    roots: readonly Root[],
    wanted: (ref: Ref) => boolean,
  ): AsyncGenerator<{ ref: Ref; page: Page }> {
    const [nodes, pages] = [new SeenRecords(), new SeenRecords()];
    const { chain, marks } = this.#survey;
    const tasks = async function* (self: OwnedBlocks): AsyncGenerator<SizedTask<{ ref: Ref; page: Page }>> {
      for (const root of roots) {
        for await (const { map, index, nodeRef } of self.#nodes(root)) {
          if (!nodes.add(treeName(chain.id, nodeRef.object), nodeRef.record)) continue;
          for (const ref of await map.node(index, self.#signal)) {
            if (!ref || marks.gone.has(mapName(chain.id, ref.object)) || !wanted(ref)) continue;
            if (!pages.add(mapName(chain.id, ref.object), ref.record)) continue;
            const run = async () => ({ ref, page: await self.#maps.page(ref, self.#signal) });
            yield { bytes: PAGE_BYTES, run };
          }
        }
      }
    };
    yield* inOrder(tasks(this), PAGES_AT_ONCE, this.#signal);
  }
}

async function packTotals(survey: Survey, owned: OwnedBlocks, signal?: AbortSignal) {
  const { chain, frozen, decided, marks } = survey;
  const data = chainData(chain);
  const generations = new PackGenerations(data, new MapObjects(data));
  const packs = { count: 0, dead: 0, bytes: 0 };
  const sizes = { liveBytes: 0, sharedBytes: 0, retainedBytes: 0, deadBytes: 0, undecidedBytes: 0 };
  for (const { id, bytes, compacted } of frozen.packs()) {
    const top = compacted.at(-1);
    const topBytes = top?.bytes ?? bytes ?? 0;
    const all = (bytes ?? 0) + compacted.reduce((sum, one) => sum + one.bytes, 0);
    const count = compacted.length + (bytes === null ? 0 : 1);
    packs.count += count;
    packs.bytes += all;
    if (!decided.has(id.sequence)) {
      sizes.undecidedBytes += all;
      continue;
    }
    if (!marks.blocks.any(id)) {
      packs.dead += count;
      sizes.deadBytes += all;
      continue;
    }
    sizes.deadBytes += all - topBytes;
    const at = await generations.open(id, top?.generation ?? 0, signal);
    for (let ordinal = 0; ordinal < at.index.blocks; ordinal++) {
      if (!holds(at, ordinal)) continue;
      const { length } = at.index.extent(ordinal);
      if (!marks.blocks.has(id, ordinal)) {
        sizes.deadBytes += length;
        continue;
      }
      sizes.liveBytes += length;
      if (owned.shared.has(id, ordinal)) sizes.sharedBytes += length;
      if (!owned.ofPoints.has(id, ordinal)) sizes.retainedBytes += length;
    }
  }
  return { packs, ...sizes };
}
