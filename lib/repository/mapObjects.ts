import { MiB } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { corruptObject, decoding } from './damage.ts';
import type { ChainKeys } from './keys.ts';
import { decodeDirectory, type MapDirectory } from './mapObject.ts';
import { type MapId, mapName, type PackId, packName } from './names.ts';
import { PackIndex } from './packIndex.ts';
import { Page } from './page.ts';
import type { PageRun } from './pageRuns.ts';
import { Recent } from './recent.ts';
import { RecordReader } from './recordObject.ts';
import type { Ref } from './refs.ts';
import { KIND } from './sealedObject.ts';

const OBJECTS_KEPT_BYTES = 24 * MiB;
const INDEXES_KEPT_BLOCKS = 512 * 1024;

interface OpenMap {
  readonly reader: RecordReader;
  readonly directory: MapDirectory;
}

/** What it takes to read the data objects of a chain: the app has it, and a worker. */
export interface ChainData {
  readonly id: string;
  readonly keys: ChainKeys;
  readonly blockBytes: number;
  readonly pageBlocks: number;
  readonly data: BlobStore;
}

/** The map objects of a chain: pages and pack indexes by reference, recent ones kept. Memory is bounded. */
export class MapObjects {
  readonly #chain: ChainData;
  readonly #open = new Recent<OpenMap>(
    OBJECTS_KEPT_BYTES,
    ({ reader }) => Math.min(reader.size, MiB) + reader.records * 32,
  );
  readonly #indexes = new Recent<PackIndex>(INDEXES_KEPT_BLOCKS, (index) => index.blocks + 1);

  constructor(chain: ChainData) {
    this.#chain = chain;
  }

  async #map(id: MapId, signal?: AbortSignal): Promise<OpenMap> {
    const { data, keys, id: chain } = this.#chain;
    const name = mapName(chain, id);
    return this.#open.get(name, async () => {
      const reader = await RecordReader.open(
        data,
        keys.seal,
        { kind: KIND.map, chain, name },
        { wholeBelow: MiB, signal },
      );
      const directory = decoding(name, 'its directory', () =>
        decodeDirectory(reader.payload, reader.records),
      );
      return { reader, directory };
    });
  }

  /** The directory, with the object's length and tag. */
  async directory(id: MapId, signal?: AbortSignal): Promise<MapDirectory & { tag: string; length: number }> {
    const { reader, directory } = await this.#map(id, signal);
    return { ...directory, tag: reader.tag, length: reader.size };
  }

  async page(ref: Ref, signal?: AbortSignal): Promise<Page> {
    const { reader } = await this.#map(ref.object, signal);
    return this.#decode(reader, ref, await reader.record(ref.record, signal));
  }

  /** The pages of a run (`pageRuns`) with one read. What is wrong with one page is that page's; a read that fails is thrown. */
  async pages(run: PageRun, signal?: AbortSignal): Promise<(() => Page)[]> {
    const { reader } = await this.#map(run.object, signal);
    const open = await reader.range(run.first, run.last, signal);
    return run.refs.map((ref) => () => this.#decode(reader, ref, open(ref.record)));
  }

  #decode(reader: RecordReader, ref: Ref, bytes: Buffer): Page {
    const page = decoding(reader.name, `the page in its record ${ref.record}`, () =>
      Page.decode(bytes, this.#chain.pageBlocks),
    );
    if (page.present !== ref.present)
      throw corruptObject(
        reader.name,
        `the page in its record ${ref.record} is not the one that was referred to`,
      );
    return page;
  }

  /** The index of a pack, from the map object of the shard that wrote it. */
  packIndex(pack: PackId, signal?: AbortSignal): Promise<PackIndex> {
    return this.#indexes.get(packName(this.#chain.id, pack), async () => {
      const { reader, directory } = await this.#map(pack, signal);
      const entry = directory.packs.find(({ number }) => number === pack.number);
      if (!entry)
        throw corruptObject(reader.name, `it has no index of pack ${packName(this.#chain.id, pack)}`);
      const bytes = await reader.record(entry.record, signal);
      return decoding(reader.name, `the pack index in its record ${entry.record}`, () =>
        PackIndex.decode(bytes),
      );
    });
  }
}
