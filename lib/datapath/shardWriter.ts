import {
  blockDigest,
  type ChainData,
  type MapId,
  MapWriter,
  PACK_BYTES,
  PackWriter,
  Page,
  packSpace,
} from '../repository/index.ts';
import type { PackUploads } from './packUploads.ts';
import type { PlannedPage } from './plannedPages.ts';
import type { ParentPage } from './shardReads.ts';

export interface ShardCounts {
  readonly blocksStored: number;
  readonly blocksReused: number;
  readonly blocksZero: number;
}

interface OpenPage {
  readonly planned: PlannedPage;
  readonly parent: ParentPage | null;
  readonly content: Page;
  changed: boolean;
}

/** Turns the blocks of a shard, in disk order, into packs and pages. */
export class ShardWriter {
  readonly #chain: ChainData;
  readonly #id: MapId;
  readonly #whole: boolean;
  readonly #compare: boolean;
  readonly #uploads: PackUploads;
  readonly #map: MapWriter;
  readonly #zero: Buffer;
  /** Memory of packs that are stored: touching fresh memory costs as much as hashing it. */
  readonly #free: Buffer[] = [];
  #space: Buffer | null = null;
  #pack: PackWriter | null = null;
  #packs = 0;
  #page: OpenPage | null = null;
  #stored = 0;
  #reused = 0;
  #zeros = 0;

  constructor(
    chain: ChainData,
    id: MapId,
    options: { whole: boolean; compare: boolean; uploads: PackUploads },
  ) {
    this.#chain = chain;
    this.#id = id;
    this.#whole = options.whole;
    this.#compare = options.compare;
    this.#uploads = options.uploads;
    this.#map = new MapWriter(chain.keys.seal, chain.id, id);
    this.#zero = Buffer.alloc(chain.blockBytes);
  }

  get counts(): ShardCounts {
    return { blocksStored: this.#stored, blocksReused: this.#reused, blocksZero: this.#zeros };
  }

  /** Ends the page before, and begins the next: with the parent's content, or empty for a whole read. */
  begin(planned: PlannedPage, parent: ParentPage | null): void {
    this.#endPage();
    const content = new Page(this.#chain.pageBlocks);
    let changed = this.#whole;
    if (parent && !this.#whole) {
      for (let block = 0; block < content.blocks; block++) {
        const ref = parent.content.get(block);
        if (!ref) continue;
        if (planned.clear.has(block)) changed = true;
        else content.set(block, ref);
      }
    }
    this.#page = { planned, parent, content, changed };
  }

  /** Takes whole blocks from place `first` of the page. Resolves when the next may come. */
  async blocks(first: number, bytes: Buffer): Promise<void> {
    const { blockBytes } = this.#chain;
    for (let offset = 0; offset < bytes.length; offset += blockBytes) {
      this.#block(first + offset / blockBytes, bytes.subarray(offset, offset + blockBytes));
      if (this.#pack && this.#pack.length >= PACK_BYTES) await this.#closePack();
    }
  }

  #block(place: number, bytes: Buffer): void {
    const page = this.#page;
    if (!page) throw new RangeError('a block came before its page');
    if (bytes.equals(this.#zero)) {
      this.#zeros++;
      if (!page.content.get(place)) return;
      page.content.clear(place);
      page.changed = true;
      return;
    }
    const digest = blockDigest(this.#chain.keys, bytes);
    const known = page.parent?.digest(place);
    const held = known?.equals(digest) ? page.parent?.content.get(place) : null;
    if (held) {
      this.#reused++;
      page.content.set(place, held);
      return;
    }
    this.#pack ??= this.#newPack();
    page.content.set(place, { pack: this.#pack.id, ordinal: this.#pack.add(bytes, digest) });
    page.changed = true;
    this.#stored++;
  }

  #newPack(): PackWriter {
    const { keys, id: chain, blockBytes } = this.#chain;
    const id = { ...this.#id, number: this.#packs++ };
    this.#space = this.#free.pop() ?? packSpace(blockBytes);
    return new PackWriter(keys, chain, id, { compare: this.#compare, space: this.#space });
  }

  async #closePack(): Promise<void> {
    const [pack, space] = [this.#pack, this.#space];
    if (!pack || !space) return;
    this.#pack = null;
    const finished = pack.finish();
    this.#map.addPack({ number: finished.id.number, length: finished.bytes.length, index: finished.index });
    await this.#uploads.add(finished, () => this.#free.push(space));
  }

  #endPage(): void {
    const page = this.#page;
    this.#page = null;
    // A page that is as it was in the parent stays the parent's.
    if (page?.changed) this.#map.addPage(page.planned.page, page.content);
  }

  /** Resolves when all packs are stored; the map object is left to the caller. */
  async finish(): Promise<{ name: string; bytes: Buffer; tag: string }> {
    this.#endPage();
    await this.#closePack();
    await this.#uploads.done();
    return { name: this.#map.name, ...this.#map.finish() };
  }
}
