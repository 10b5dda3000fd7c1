/** The disk store's simple twin: every page of every disk and snapshot in a plain map, copied at each snapshot. */
import type { ByteRange, ChangedRange } from '../../local/azure/disks/index.ts';

export const PAGE = 4096;

interface ModelPage {
  bytes: Buffer;
  allocated: boolean;
  /** Who touched it last: differs whenever something was written or cleared. */
  version: number;
}

interface ModelHead {
  kind: 'disk' | 'snapshot';
  lineage: number;
  sizeBytes: number;
  sequence: number;
  pages: Map<number, ModelPage>;
}

export class DiskModel {
  readonly heads = new Map<string, ModelHead>();
  #clock = 0;

  create(id: string, sizeBytes: number): void {
    this.#clock += 1;
    this.heads.set(id, {
      kind: 'disk',
      lineage: this.#clock,
      sizeBytes,
      sequence: this.#clock,
      pages: new Map(),
    });
  }

  copy(kind: ModelHead['kind'], sourceId: string, id: string, sizeBytes?: number): void {
    const source = this.head(sourceId);
    this.#clock += 1;
    this.heads.set(id, {
      kind,
      lineage: kind === 'disk' ? this.#clock : source.lineage,
      sizeBytes: sizeBytes ?? source.sizeBytes,
      sequence: this.#clock,
      pages: new Map(source.pages),
    });
  }

  write(id: string, offset: number, bytes: Buffer): void {
    this.#clock += 1;
    const { pages } = this.head(id);
    for (let at = 0; at < bytes.length; at += 512) {
      const page = Math.floor((offset + at) / PAGE);
      const content = Buffer.from(pages.get(page)?.bytes ?? Buffer.alloc(PAGE));
      bytes.copy(content, (offset + at) % PAGE, at, at + 512);
      pages.set(page, { bytes: content, allocated: true, version: this.#clock });
    }
  }

  clear(id: string, offset: number, length: number): void {
    const { pages, sizeBytes } = this.head(id);
    const end = offset + length;
    for (let page = Math.floor(offset / PAGE); page * PAGE < end; page += 1) {
      const was = pages.get(page);
      if (!was?.allocated) continue;
      this.#clock += 1;
      const whole = offset <= page * PAGE && (end >= (page + 1) * PAGE || end === sizeBytes);
      const content = Buffer.from(was.bytes);
      content.fill(0, Math.max(0, offset - page * PAGE), Math.min(PAGE, end - page * PAGE));
      pages.set(page, {
        bytes: whole ? Buffer.alloc(PAGE) : content,
        allocated: !whole,
        version: this.#clock,
      });
    }
  }

  read(id: string): Buffer {
    const { sizeBytes, pages } = this.head(id);
    const all = Buffer.alloc(Math.ceil(sizeBytes / PAGE) * PAGE);
    for (const [page, { bytes }] of pages) bytes.copy(all, page * PAGE);
    return all.subarray(0, sizeBytes);
  }

  ranges(id: string): ByteRange[] {
    const marks = this.#everyPage(id, (page) => (page?.allocated ? 'page' : undefined));
    return marks.map(({ offset, length }) => ({ offset, length }));
  }

  diff(id: string, previousId: string): ChangedRange[] {
    const previous = this.head(previousId).pages;
    return this.#everyPage(id, (page, number) => {
      const old = previous.get(number);
      if (!page || page.version === old?.version) return undefined;
      if (page.allocated) return 'page';
      return old?.allocated ? 'clear' : undefined;
    });
  }

  head(id: string): ModelHead {
    const head = this.heads.get(id);
    if (!head) throw new Error(`The model has no ${id}`);
    return head;
  }

  #everyPage(
    id: string,
    mark: (page: ModelPage | undefined, number: number) => 'page' | 'clear' | undefined,
  ): ChangedRange[] {
    const { sizeBytes, pages } = this.head(id);
    const ranges: ChangedRange[] = [];
    for (let number = 0; number * PAGE < sizeBytes; number += 1) {
      const found = mark(pages.get(number), number);
      if (!found) continue;
      const offset = number * PAGE;
      const length = Math.min(PAGE, sizeBytes - offset);
      const last = ranges.at(-1);
      const clear = found === 'clear';
      if (last && last.offset + last.length === offset && last.clear === clear) last.length += length;
      else ranges.push({ offset, length, clear });
    }
    return ranges;
  }
}
