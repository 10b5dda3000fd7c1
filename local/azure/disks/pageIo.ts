/** Bytes in and out of a stack of layers: what is not whole pages is read, changed and written back. */
import { type Content, PAGE_BYTES, pagesOf, type SlotRun } from './content.ts';
import { CLEARED } from './intervalMap.ts';
import type { Layer, LayerChange } from './layer.ts';
import { slotRuns } from './layers.ts';
import { allocated, sweep } from './sweep.ts';

export class PageIo {
  readonly #content: Content;

  constructor(content: Content) {
    this.#content = content;
  }

  /** Bytes as the stack of layers has them. Not checked against any size. */
  async read(layer: Layer, offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const from = Math.floor(offset / PAGE_BYTES);
    const plan = [];
    for (const { start, end, slot } of sweep(layer.maps(), from, pagesOf(offset + length))) {
      if (slot === CLEARED) continue;
      const first = Math.max(start * PAGE_BYTES, offset);
      const last = Math.min(end * PAGE_BYTES, offset + length);
      plan.push({ slot, within: first - start * PAGE_BYTES, at: first - offset, length: last - first });
    }
    await this.#content.read(bytes, plan);
    return bytes;
  }

  /** Writes into the layer. Calls for one layer must not overlap in time. */
  async write(layer: Layer, offset: number, bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    const page = Math.floor(offset / PAGE_BYTES);
    const pages = pagesOf(offset + bytes.byteLength) - page;
    await this.#writePages(layer, page, await this.#padded(layer, offset, bytes, page, pages));
  }

  /** The bytes with what the disk holds around them, so that they fill whole pages. */
  async #padded(
    layer: Layer,
    offset: number,
    bytes: Uint8Array,
    page: number,
    pages: number,
  ): Promise<Uint8Array> {
    const before = offset - page * PAGE_BYTES;
    const after = pages * PAGE_BYTES - before - bytes.byteLength;
    if (before === 0 && after === 0) return bytes;
    const end = offset + bytes.byteLength;
    return Buffer.concat([
      await this.read(layer, offset - before, before),
      bytes,
      await this.read(layer, end, after),
    ]);
  }

  async #writePages(layer: Layer, page: number, bytes: Uint8Array): Promise<void> {
    const slice = (from: number, to: number) =>
      bytes.subarray((from - page) * PAGE_BYTES, (to - page) * PAGE_BYTES);
    const end = page + bytes.byteLength / PAGE_BYTES;
    const gaps: { start: number; end: number }[] = [];
    let from = page;
    for (const own of layer.map.within(page, end).toArray()) {
      if (own.slot === CLEARED) continue;
      if (own.start > from) gaps.push({ start: from, end: own.start });
      from = own.end;
      // A page written before in this generation is nobody else's: overwritten in place.
      await this.#content.write(own.slot, slice(own.start, own.end));
    }
    if (from < end) gaps.push({ start: from, end });
    await this.#fillGaps(layer, gaps, slice);
  }

  async #fillGaps(
    layer: Layer,
    gaps: readonly { start: number; end: number }[],
    slice: (from: number, to: number) => Uint8Array,
  ): Promise<void> {
    const changes: LayerChange[] = [];
    const taken: SlotRun[] = [];
    try {
      for (const gap of gaps) {
        let page = gap.start;
        for (const run of this.#content.allocate(gap.end - gap.start)) {
          taken.push(run);
          changes.push({ page, count: run.count, slot: run.slot });
          page += run.count;
        }
      }
      for (const { page, count, slot } of changes) {
        if (slot !== undefined) await this.#content.write(slot, slice(page, page + count));
      }
      if (changes.length > 0) layer.apply(changes);
    } catch (cause) {
      this.#content.release(taken);
      throw cause;
    }
  }

  /** Makes a part of a disk of `sizeBytes` read as zeros. Calls for one layer must not overlap in time. */
  async clear(layer: Layer, sizeBytes: number, offset: number, length: number): Promise<void> {
    const end = offset + length;
    const first = Math.ceil(offset / PAGE_BYTES);
    // Beyond the end of the disk there is nothing to keep: a clear up to the end covers the last page.
    const last = end === sizeBytes ? pagesOf(end) : Math.floor(end / PAGE_BYTES);
    if (first > last) {
      await this.#zeroPart(layer, offset, length);
    } else {
      await this.#zeroPart(layer, offset, Math.min(first * PAGE_BYTES, end) - offset);
      await this.#zeroPart(layer, last * PAGE_BYTES, end - last * PAGE_BYTES);
    }
    if (first < last) {
      const slot = layer.parent ? CLEARED : undefined;
      const displaced = layer.apply([{ page: first, count: last - first, slot }]);
      this.#content.release([...slotRuns(displaced)]);
    }
  }

  /** Zeroes a part of one page, if there is anything in that page. */
  async #zeroPart(layer: Layer, offset: number, length: number): Promise<void> {
    if (length <= 0) return;
    const page = Math.floor(offset / PAGE_BYTES);
    const [had] = allocated(layer.maps(), page, page + 1);
    if (had) await this.write(layer, offset, Buffer.alloc(length));
  }
}
