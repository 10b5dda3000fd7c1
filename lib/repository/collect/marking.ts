import { isHoldfastError } from '../../model/index.ts';
import { nodesOf } from '../blockMap.ts';
import { type Chain, chainData } from '../chain.ts';
import { corruptObject } from '../damage.ts';
import { inOrder, type SizedTask } from '../inOrder.ts';
import { MapObjects } from '../mapObjects.ts';
import { mapName, treeName } from '../names.ts';
import type { Page } from '../page.ts';
import { pageRuns, RUN_BYTES } from '../pageRuns.ts';
import type { Ref } from '../refs.ts';
import { SeenRecords } from '../seenRecords.ts';
import { TreeMap, Trees } from '../tree.ts';
import { BlockBits } from './bitColumns.ts';
import type { Root, RootDisk } from './roots.ts';

const RUNS_AT_ONCE = { bytes: 16 * RUN_BYTES, tasks: 16 };

/** What the roots reach: tree objects, pages, blocks. Each node and page is read once, however many roots share it. */
export class Marks {
  readonly trees = new Set<string>();
  /** Map objects by name, with the number of their pages that are reached. */
  readonly mapPages = new Map<string, number>();
  readonly blocks = new BlockBits();
  /** Tree and map objects that removed points would need and that are gone: no point needs them. */
  readonly gone = new Set<string>();
  readonly #chain: Chain;
  readonly #trees: Trees;
  readonly #maps: MapObjects;
  readonly #nodes = new SeenRecords();
  readonly #pages = new SeenRecords();

  constructor(chain: Chain, maps = new MapObjects(chainData(chain))) {
    this.#chain = chain;
    this.#trees = new Trees(chain);
    this.#maps = maps;
  }

  /**
   * Marks what a root reaches; streams pages. `missingObject` and `corruptObject` name the first object that is not as it
   * should be. Only under a root that is kept for an open claim or a lease, and is no point, objects may be gone: that root
   * came back too late, and who named it fails by itself.
   */
  async root({ disks, why }: Root, signal?: AbortSignal): Promise<void> {
    const lenient = why === 'parent' || why === 'lease';
    for (const disk of disks) {
      try {
        for await (const pages of inOrder(this.#pagesOf(disk, lenient, signal), RUNS_AT_ONCE, signal)) {
          for (const page of pages) this.#page(page);
        }
      } catch (error) {
        this.#mayBeGone(error, lenient);
      }
    }
  }

  #mayBeGone(error: unknown, lenient: boolean): void {
    if (!lenient || !isHoldfastError(error, 'missingObject') || error.target === undefined) throw error;
    this.gone.add(error.target);
  }

  #page(page: Page): void {
    for (let block = 0; block < page.blocks; block++) {
      const found = page.get(block);
      if (found) this.blocks.add(found.pack, found.ordinal);
    }
  }

  async *#pagesOf(
    disk: RootDisk,
    lenient: boolean,
    signal?: AbortSignal,
  ): AsyncGenerator<SizedTask<readonly Page[]>> {
    for await (const refs of this.#newPages(disk, lenient, signal)) {
      for (const run of pageRuns(refs)) {
        yield {
          bytes: RUN_BYTES,
          run: async () => {
            try {
              return (await this.#maps.pages(run, signal)).map((page) => page());
            } catch (error) {
              this.#mayBeGone(error, lenient);
              return [];
            }
          },
        };
      }
    }
  }

  /** References to the pages that no root before reached, node by node. */
  async *#newPages(disk: RootDisk, lenient: boolean, signal?: AbortSignal): AsyncGenerator<Ref[]> {
    const { id } = this.#chain;
    this.trees.add(treeName(id, disk.tree));
    const map = await TreeMap.open(this.#chain, disk.tree, disk.sizeBytes, this.#trees, signal);
    for (let index = 0; index < nodesOf(map); index++) {
      const ref = map.nodeRef(index);
      if (!ref) continue;
      const tree = treeName(id, ref.object);
      this.trees.add(tree);
      if (!this.#nodes.add(tree, ref.record)) continue;
      const pages = await this.#node(map, index, ref, lenient, signal);
      const fresh: Ref[] = [];
      for (const page of pages) {
        if (!page) continue;
        const name = mapName(id, page.object);
        if (!this.#pages.add(name, page.record)) continue;
        this.mapPages.set(name, (this.mapPages.get(name) ?? 0) + 1);
        fresh.push(page);
      }
      yield fresh;
    }
  }

  async #node(
    map: TreeMap,
    index: number,
    ref: Ref,
    lenient: boolean,
    signal?: AbortSignal,
  ): Promise<readonly (Ref | null)[]> {
    try {
      const pages = await map.node(index, signal);
      if (pages.reduce((sum, page) => sum + (page?.present ?? 0), 0) === ref.present) return pages;
    } catch (error) {
      this.#mayBeGone(error, lenient);
      return [];
    }
    const name = treeName(this.#chain.id, ref.object);
    throw corruptObject(name, `the node in its record ${ref.record} is not the one that was referred to`);
  }
}
