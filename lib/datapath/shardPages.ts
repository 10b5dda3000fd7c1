import {
  ByteReader,
  ByteWriter,
  type ChainData,
  decoding,
  type MapId,
  MapWriter,
  PackIndex,
  Page,
} from '../repository/index.ts';
import { BlockSet } from './blockSet.ts';
import { type PackStored, SAME, STORED, type StripDone, ZERO } from './lanes.ts';
import { isRewritten, type PlannedPage } from './plannedPages.ts';

export interface ShardCounts {
  readonly blocksStored: number;
  readonly blocksReused: number;
  readonly blocksZero: number;
}

/** A page that lanes are working on. */
interface OpenPage {
  readonly planned: PlannedPage;
  /** What it starts from, or what equal blocks are recognised by; null without a parent. */
  readonly parent: Page | null;
  readonly content: Page;
  changed: boolean;
  /** Blocks that a lane has reported. */
  readonly done: BlockSet;
  left: number;
  /** Places whose packs are not stored yet. */
  readonly waiting: Map<number, number>;
}

/** A page as far as it is stored: what a checkpoint keeps. */
interface KeptPage {
  readonly changed: boolean;
  readonly done: Buffer;
  /** `Page.encode()`; empty for a page without blocks. */
  readonly content: Buffer;
}

/** The pages and packs of a shard in the making: lanes report in any order, the map object is written in disk order. */
export class ShardPages {
  readonly #chain: ChainData;
  readonly #id: MapId;
  readonly #whole: boolean;
  readonly #open = new Map<number, OpenPage>();
  readonly #kept = new Map<number, KeptPage>();
  readonly #packs = new Map<number, PackStored>();
  #stored = 0;
  #reused = 0;
  #zeros = 0;
  readBytes = 0;

  constructor(chain: ChainData, id: MapId, whole: boolean) {
    this.#chain = chain;
    this.#id = id;
    this.#whole = whole;
  }

  get counts(): ShardCounts {
    return { blocksStored: this.#stored, blocksReused: this.#reused, blocksZero: this.#zeros };
  }

  get packs(): number {
    return this.#packs.size;
  }

  get packBytes(): number {
    let bytes = 0;
    for (const { length } of this.#packs.values()) bytes += length;
    return bytes;
  }

  /** Begins a page, with the parent's content, or empty for a whole read. Returns the blocks that are still to be read. */
  begin(planned: PlannedPage, parent: Page | null): BlockSet {
    const before = this.#kept.get(planned.page);
    const content = before
      ? decodePage(before.content, this.#chain.pageBlocks)
      : new Page(this.#chain.pageBlocks);
    let changed = before?.changed ?? (this.#whole || isRewritten(planned));
    if (!before && parent && !this.#whole) {
      for (let block = 0; block < content.blocks; block++) {
        const ref = parent.get(block);
        if (!ref) continue;
        if (planned.clear.has(block)) changed = true;
        else content.set(block, ref);
      }
    }
    const done = new BlockSet(
      this.#chain.pageBlocks,
      Buffer.from(before?.done ?? Buffer.alloc(planned.read.bytes.length)),
    );
    const toRead = new BlockSet(this.#chain.pageBlocks, Buffer.from(planned.read.bytes));
    for (const block of done) toRead.delete(block);
    const page = {
      planned,
      parent,
      content,
      changed,
      done,
      left: toRead.size,
      waiting: new Map<number, number>(),
    };
    this.#open.set(planned.page, page);
    this.#keepIfStored(page);
    return toRead;
  }

  take({ page: number, readBytes, places, outcomes, packs, ordinals }: StripDone): void {
    const page = this.#open.get(number);
    if (!page) throw new RangeError(`a strip of page ${number} came, which is not open`);
    this.readBytes += readBytes;
    const { content, parent, waiting, done } = page;
    for (const [i, place] of places.entries()) {
      done.add(place);
      page.left--;
      const outcome = outcomes[i];
      if (outcome === ZERO) {
        this.#zeros++;
        if (!content.get(place)) continue;
        content.clear(place);
        page.changed = true;
      } else if (outcome === SAME) {
        this.#reused++;
        const ref = parent?.get(place);
        if (!ref) throw new RangeError(`block ${place} of page ${number} is called equal to nothing`);
        content.set(place, ref);
      } else if (outcome === STORED) {
        this.#stored++;
        const pack = packs[i] ?? -1;
        content.set(place, { pack: { ...this.#id, number: pack }, ordinal: ordinals[i] ?? 0 });
        page.changed = true;
        if (!this.#packs.has(pack)) waiting.set(place, pack);
      } else throw new RangeError(`outcome ${outcome} of a block is unknown`);
    }
    this.#keepIfStored(page);
  }

  stored(pack: PackStored): void {
    this.#packs.set(pack.number, pack);
    for (const page of [...this.#open.values()]) {
      for (const [place, number] of page.waiting) if (number === pack.number) page.waiting.delete(place);
      this.#keepIfStored(page);
    }
  }

  /** A page whose last pack is stored needs little memory from then on. */
  #keepIfStored(page: OpenPage): void {
    if (page.left > 0 || page.waiting.size > 0) return;
    this.#open.delete(page.planned.page);
    this.#kept.set(page.planned.page, kept(page));
  }

  /** What a next attempt need not do again: blocks whose packs are stored, and these packs. */
  encode(): Buffer {
    const pages = new Map(this.#kept);
    let stored = this.#stored;
    let readBytes = this.readBytes;
    for (const page of this.#open.values()) {
      stored -= page.waiting.size;
      readBytes -= page.waiting.size * this.#chain.blockBytes;
      pages.set(page.planned.page, kept(settled(page, this.#whole)));
    }
    const writer = new ByteWriter(64 * 1024);
    for (const count of [stored, this.#reused, this.#zeros, Math.max(0, readBytes), pages.size])
      writer.varint(count);
    for (const [page, { changed, done, content }] of pages)
      writer
        .varint(page)
        .u8(changed ? 1 : 0)
        .bytes(done)
        .varint(content.length)
        .bytes(content);
    writer.varint(this.#packs.size);
    for (const { number, length, index } of this.#packs.values())
      writer.varint(number).varint(length).varint(index.length).bytes(index);
    return writer.done();
  }

  /** Goes on from what `encode` gave. To be called first. */
  resume(bytes: Buffer): void {
    const reader = new ByteReader(bytes);
    this.#stored = reader.varint();
    this.#reused = reader.varint();
    this.#zeros = reader.varint();
    this.readBytes = reader.varint();
    for (let left = reader.varint(); left > 0; left--) {
      const page = reader.varint();
      const changed = reader.u8() === 1;
      const done = Buffer.from(reader.bytes(this.#chain.pageBlocks / 8));
      this.#kept.set(page, { changed, done, content: Buffer.from(reader.bytes(reader.varint())) });
    }
    for (let left = reader.varint(); left > 0; left--) {
      const pack = { kind: 'pack' as const, number: reader.varint(), length: reader.varint() };
      this.#packs.set(pack.number, { ...pack, index: Buffer.from(reader.bytes(reader.varint())) });
    }
    reader.end();
  }

  /** The map object, when all is done. */
  finish(): { name: string; bytes: Buffer; tag: string } {
    if (this.#open.size > 0) throw new RangeError(`${this.#open.size} pages are not complete`);
    const map = new MapWriter(this.#chain.keys.seal, this.#chain.id, this.#id);
    for (const [page, { changed, content }] of [...this.#kept].sort(([a], [b]) => a - b)) {
      // A page that is as it was in the parent stays the parent's.
      if (changed) map.addPage(page, decodePage(content, this.#chain.pageBlocks));
    }
    for (const { number, length, index } of this.#packs.values())
      map.addPack({
        number,
        length,
        index: decoding(map.name, 'a pack index', () => PackIndex.decode(Buffer.from(index))),
      });
    return { name: map.name, ...map.finish() };
  }
}

const kept = ({ changed, done, content }: Pick<OpenPage, 'changed' | 'done' | 'content'>): KeptPage => ({
  changed,
  done: Buffer.from(done.bytes),
  content: content.present > 0 ? content.encode() : Buffer.alloc(0),
});

const decodePage = (content: Buffer, blocks: number): Page =>
  content.length > 0 ? Page.decode(content, blocks) : new Page(blocks);

/** The page without the blocks whose packs are not stored: those are as before. */
function settled(page: OpenPage, whole: boolean): Pick<OpenPage, 'changed' | 'done' | 'content'> {
  const { content, parent, waiting, changed } = page;
  if (waiting.size === 0) return page;
  const copy = Page.decode(content.encode(), content.blocks);
  const done = new BlockSet(content.blocks, Buffer.from(page.done.bytes));
  for (const place of waiting.keys()) {
    done.delete(place);
    const ref = whole ? null : parent?.get(place);
    if (ref && !page.planned.clear.has(place)) copy.set(place, ref);
    else copy.clear(place);
  }
  return { content: copy, done, changed };
}
