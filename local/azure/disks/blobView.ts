/**
 * A disk or snapshot as the page blob behind its SAS: its content, then the footer of a fixed VHD. The footer's 512 bytes count as
 * allocated; between snapshots of different size the old footer's place is cleared and the new one's changed, so that a diff always makes
 * the old blob the new one.
 */
import type { ByteRange, ChangedRange, DiskDescription, DiskStore, RangePage } from './types.ts';
import { FOOTER_BYTES, fixedVhdFooter } from './vhdFooter.ts';

export class BlobView {
  readonly id: string;
  readonly disk: DiskDescription;
  /** Length of the blob in bytes: the disk's size and the footer. */
  readonly length: number;
  readonly #store: DiskStore;
  /** The footer is part of the content: of a disk in upload, where it is what the uploader wrote, and of a page blob. */
  readonly #ownFooter: boolean;

  /** Throws DiskStoreError `notFound`. */
  constructor(store: DiskStore, id: string, options: { pageBlob?: boolean } = {}) {
    this.#store = store;
    this.id = id;
    this.disk = store.describe(id);
    this.#ownFooter = this.disk.uploading || options.pageBlob === true;
    this.length = this.disk.sizeBytes + (this.#ownFooter ? 0 : FOOTER_BYTES);
  }

  get etag(): string {
    // Reads as the service's: 0x8 and fourteen more digits of hexadecimal.
    let hash = 0xcbf29ce484222325n;
    for (const char of `${this.disk.lineage} ${this.disk.revision}`) {
      hash = BigInt.asUintN(64, (hash ^ BigInt(char.charCodeAt(0))) * 0x100000001b3n);
    }
    return `"0x8${(hash & 0xffffffffffffffn).toString(16).toUpperCase().padStart(14, '0')}"`;
  }

  /** `offset + length` must not exceed the blob. */
  async read(offset: number, length: number): Promise<Buffer> {
    const { sizeBytes, lineage } = this.disk;
    if (offset + length <= sizeBytes) return this.#store.read(this.id, offset, length);
    const footer = fixedVhdFooter(sizeBytes, lineage);
    const tail = footer.subarray(Math.max(0, offset - sizeBytes), offset + length - sizeBytes);
    if (offset >= sizeBytes) return tail;
    return Buffer.concat([await this.#store.read(this.id, offset, sizeBytes - offset), tail]);
  }

  /** The next `limit` allocated ranges in the window. */
  ranges(window: ByteRange, limit: number): RangePage<ChangedRange> {
    const page = this.#store.rangePage(this.id, this.#onDisk(window), limit);
    const ranges = page.ranges.map((range) => ({ ...range, clear: false }));
    return this.#withFooters(
      { ...page, ranges },
      window,
      limit,
      this.#ownFooter ? [] : [footerOf(this, false)],
    );
  }

  /** The next `limit` ranges in the window that differ from an older snapshot of the lineage. */
  changes(previous: BlobView, window: ByteRange, limit: number): RangePage<ChangedRange> {
    const page = this.#store.diffPage(this.id, previous.id, this.#onDisk(window), limit);
    const moved = !this.#ownFooter && this.disk.sizeBytes !== previous.disk.sizeBytes;
    return this.#withFooters(
      page,
      window,
      limit,
      moved ? [footerOf(previous, true), footerOf(this, false)] : [],
    );
  }

  #onDisk({ offset, length }: ByteRange): ByteRange {
    return { offset, length: Math.max(0, Math.min(length, this.disk.sizeBytes - offset)) };
  }

  #withFooters(
    page: RangePage<ChangedRange>,
    window: ByteRange,
    limit: number,
    footers: ChangedRange[],
  ): RangePage<ChangedRange> {
    const end = page.next ?? window.offset + window.length;
    const { ranges } = page;
    for (const footer of footers) {
      if (footer.offset < window.offset || footer.offset >= end) continue;
      const covered = ranges.some(
        (range) => range.offset <= footer.offset && range.offset + range.length > footer.offset,
      );
      if (!covered) ranges.push(footer);
    }
    const ordered = joined(ranges.sort((a, b) => a.offset - b.offset));
    const rest = ordered[limit];
    if (rest) return { ranges: ordered.slice(0, limit), next: rest.offset };
    return page.next === undefined ? { ranges: ordered } : { ranges: ordered, next: page.next };
  }
}

function footerOf(view: BlobView, clear: boolean): ChangedRange {
  return { offset: view.disk.sizeBytes, length: FOOTER_BYTES, clear };
}

function joined(ranges: ChangedRange[]): ChangedRange[] {
  const all: ChangedRange[] = [];
  for (const range of ranges) {
    const last = all.at(-1);
    if (last && last.clear === range.clear && last.offset + last.length === range.offset)
      last.length += range.length;
    else all.push({ ...range });
  }
  return all;
}
