/** The disk store in a folder: catalog, layers, content. See README.md for the picture and the promises. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type CatalogRecord, type HeadRecord, loadCatalog, saveCatalog } from './catalog.ts';
import { checkLineage, checkRange, checkSectors, checkSize, SECTOR_BYTES } from './checks.ts';
import { Content, PAGE_BYTES, pagesOf } from './content.ts';
import { DiskStoreError } from './errors.ts';
import { type FolderLock, lockFolder } from './folderLock.ts';
import { Gate } from './gate.ts';
import type { Layer } from './layer.ts';
import { Layers } from './layers.ts';
import { PageIo } from './pageIo.ts';
import { rangesIn } from './rangesIn.ts';
import { allocated, changed } from './sweep.ts';
import type { ByteRange, ChangedRange, DiskDescription, DiskStat, DiskStore, RangePage } from './types.ts';

/** Ranges fetched at a time by the endless lists. */
const LIST_BATCH = 1000;

/** A disk or snapshot: its record, with the layer as object. */
interface Head extends Omit<HeadRecord, 'layer'> {
  layer: Layer;
  writes: number;
  modifiedAt: number;
}

interface DiskStoreOptions {
  /** The time that `createdAt` and `modifiedAt` show. Default: the system's. */
  clock?: { now(): Date };
}

/** Opens the disk store in `folder`, or begins one. One process at a time: a second one is refused (`inUse`). */
export async function openDiskStore(folder: string, options: DiskStoreOptions = {}): Promise<DiskStore> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(folder);
  try {
    return new FolderStore(folder, options.clock ?? { now: () => new Date() }, lock);
  } catch (cause) {
    lock.close();
    throw cause;
  }
}

class FolderStore implements DiskStore {
  readonly #folder: string;
  readonly #clock: { now(): Date };
  readonly #lock: FolderLock;
  readonly #gate = new Gate();
  readonly #heads = new Map<string, Head>();
  readonly #layers: Layers;
  readonly #content: Content;
  readonly #pages: PageIo;
  readonly #opened: number;
  #nextSequence: number;

  constructor(folder: string, clock: { now(): Date }, lock: FolderLock) {
    this.#folder = folder;
    this.#clock = clock;
    this.#lock = lock;
    const record = loadCatalog(folder);
    this.#opened = record.opened + 1;
    this.#nextSequence = record.next.sequence;
    this.#layers = new Layers(join(folder, 'layers'), record);
    this.#content = new Content(join(folder, 'content'), this.#layers.owned());
    this.#pages = new PageIo(this.#content);
    const now = clock.now().getTime();
    for (const [id, head] of Object.entries(record.heads)) {
      const modifiedAt = head.kind === 'snapshot' ? head.createdAt : now;
      this.#heads.set(id, { ...head, layer: this.#layers.get(head.layer), writes: 0, modifiedAt });
    }
    this.#save();
  }

  async create(id: string, sizeBytes: number): Promise<void> {
    await this.#gate.shared(id, () => this.#add(id, sizeBytes));
  }

  async createForUpload(id: string, uploadSizeBytes: number): Promise<void> {
    await this.#gate.shared(id, () => this.#add(id, uploadSizeBytes, true));
  }

  async completeUpload(id: string): Promise<void> {
    await this.#gate.shared(id, async () => {
      const disk = this.#disk(id);
      if (!disk.uploading) throw new DiskStoreError('readOnly', `Disk ${id} is not being uploaded.`, id);
      const sizeBytes = disk.sizeBytes - SECTOR_BYTES;
      await this.#pages.clear(disk.layer, disk.sizeBytes, sizeBytes, SECTOR_BYTES);
      this.#touch(disk);
      disk.sizeBytes = sizeBytes;
      disk.uploading = undefined;
      this.#save();
    });
  }

  async resize(id: string, sizeBytes: number): Promise<void> {
    await this.#gate.shared(id, () => {
      const disk = this.#disk(id);
      checkSize(id, sizeBytes);
      if (sizeBytes < disk.sizeBytes) {
        throw new DiskStoreError(
          'shrink',
          `Disk ${id} has ${disk.sizeBytes} bytes and cannot shrink to ${sizeBytes}.`,
          id,
        );
      }
      disk.sizeBytes = sizeBytes;
      this.#touch(disk);
      this.#save();
    });
  }

  async snapshot(diskId: string, snapshotId: string): Promise<void> {
    await this.#gate.exclusive(() => {
      const disk = this.#disk(diskId);
      this.#checkFree(snapshotId);
      const layer = this.#freeze(disk);
      this.#put(snapshotId, {
        kind: 'snapshot',
        lineage: disk.lineage,
        sizeBytes: disk.sizeBytes,
        layer,
      });
      this.#save();
    });
  }

  async clone(sourceId: string, newDiskId: string, sizeBytes?: number): Promise<void> {
    await this.#gate.exclusive(() => {
      const source = this.#head(sourceId);
      const size = sizeBytes ?? source.sizeBytes;
      this.#checkFree(newDiskId);
      checkSize(newDiskId, size);
      if (size < source.sizeBytes) {
        throw new DiskStoreError(
          'shrink',
          `A copy of ${sourceId} needs ${source.sizeBytes} bytes, not ${size}.`,
          newDiskId,
        );
      }
      const parent = source.kind === 'disk' ? this.#freeze(source) : source.layer;
      const layer = this.#layers.grow(parent);
      this.#put(newDiskId, { kind: 'disk', lineage: randomUUID(), sizeBytes: size, layer });
      this.#save();
    });
  }

  async delete(id: string): Promise<void> {
    await this.#gate.exclusive(() => {
      const { layer } = this.#head(id);
      this.#heads.delete(id);
      const folded = this.#layers.fold(layer, new Set([...this.#heads.values()].map((head) => head.layer)));
      for (const head of this.#heads.values()) head.layer = folded.replaced.get(head.layer) ?? head.layer;
      this.#save();
      for (const gone of folded.gone) gone.discard();
      this.#content.release(folded.freed);
    });
  }

  async read(id: string, offset: number, length: number): Promise<Buffer> {
    const head = this.#head(id);
    checkRange(id, head, offset, length);
    return this.#pages.read(head.layer, offset, length);
  }

  async write(id: string, offset: number, bytes: Uint8Array): Promise<void> {
    await this.#gate.shared(id, async () => {
      const disk = this.#disk(id);
      checkSectors(id, disk, offset, bytes.byteLength);
      await this.#pages.write(disk.layer, offset, bytes);
      this.#touch(disk);
    });
  }

  async clear(id: string, offset: number, length: number): Promise<void> {
    await this.#gate.shared(id, async () => {
      const disk = this.#disk(id);
      checkSectors(id, disk, offset, length);
      await this.#pages.clear(disk.layer, disk.sizeBytes, offset, length);
      this.#touch(disk);
    });
  }

  async *ranges(id: string, window?: ByteRange): AsyncGenerator<ByteRange> {
    let rest = window ?? { offset: 0, length: this.#head(id).sizeBytes };
    for (;;) {
      const page = this.rangePage(id, rest, LIST_BATCH);
      yield* page.ranges;
      if (page.next === undefined) return;
      rest = { offset: page.next, length: rest.offset + rest.length - page.next };
    }
  }

  rangePage(id: string, window: ByteRange, limit: number): RangePage<ByteRange> {
    const head = this.#head(id);
    const page = rangesIn(head.sizeBytes, window, limit, (from, to) =>
      allocated(head.layer.maps(), from, to),
    );
    return { ...page, ranges: page.ranges.map(({ offset, length }) => ({ offset, length })) };
  }

  async *diff(id: string, previousId: string, window?: ByteRange): AsyncGenerator<ChangedRange> {
    let rest = window ?? { offset: 0, length: this.#head(id).sizeBytes };
    for (;;) {
      const page = this.diffPage(id, previousId, rest, LIST_BATCH);
      yield* page.ranges;
      if (page.next === undefined) return;
      rest = { offset: page.next, length: rest.offset + rest.length - page.next };
    }
  }

  diffPage(id: string, previousId: string, window: ByteRange, limit: number): RangePage<ChangedRange> {
    const head = this.#head(id);
    const previous = this.#head(previousId);
    checkLineage(id, head, previousId, previous);
    const chain = head.layer.chain();
    const depth = chain.indexOf(previous.layer);
    if (depth < 0) throw new DiskStoreError('damaged', `${previousId} is not below ${id} in the store.`, id);
    const newer = chain.slice(0, depth).map(({ map }) => map);
    const older = previous.layer.maps();
    return rangesIn(head.sizeBytes, window, limit, (from, to) => changed(newer, older, from, to));
  }

  has(id: string): boolean {
    return this.#heads.has(id);
  }

  describe(id: string): DiskDescription {
    const { kind, sizeBytes, lineage, sequence, createdAt, modifiedAt, writes, uploading } = this.#head(id);
    return {
      kind,
      sizeBytes,
      lineage,
      sequence,
      createdAt: new Date(createdAt),
      modifiedAt: new Date(modifiedAt),
      revision: kind === 'snapshot' ? `${sequence}` : `${sequence}.${this.#opened}.${writes}`,
      uploading: uploading ?? false,
    };
  }

  stat(id: string): DiskStat {
    const head = this.#head(id);
    let allocatedBytes = 0;
    for (const { start, end } of allocated(head.layer.maps(), 0, pagesOf(head.sizeBytes))) {
      allocatedBytes += (end - start) * PAGE_BYTES;
    }
    return { ...this.describe(id), allocatedBytes };
  }

  list(): string[] {
    return [...this.#heads.keys()];
  }

  async close(): Promise<void> {
    await this.#gate.exclusive(() => {
      this.#layers.close();
      this.#content.close();
      this.#lock.close();
    });
  }

  #head(id: string): Head {
    const head = this.#heads.get(id);
    if (!head) throw new DiskStoreError('notFound', `There is no disk or snapshot ${id}.`, id);
    return head;
  }

  #disk(id: string): Head {
    const head = this.#head(id);
    if (head.kind !== 'disk')
      throw new DiskStoreError('readOnly', `${id} is a snapshot and never changes.`, id);
    return head;
  }

  #checkFree(id: string): void {
    if (this.#heads.has(id)) throw new DiskStoreError('exists', `${id} exists already.`, id);
  }

  #add(id: string, sizeBytes: number, uploading?: boolean): void {
    this.#checkFree(id);
    checkSize(id, sizeBytes);
    const layer = this.#layers.grow(undefined);
    this.#put(id, { kind: 'disk', lineage: randomUUID(), sizeBytes, layer, ...(uploading && { uploading }) });
    this.#save();
  }

  #put(id: string, head: Pick<Head, 'kind' | 'lineage' | 'sizeBytes' | 'layer' | 'uploading'>): void {
    const now = this.#clock.now().getTime();
    this.#heads.set(id, {
      ...head,
      sequence: this.#nextSequence++,
      createdAt: now,
      modifiedAt: now,
      writes: 0,
    });
  }

  /** Gives the disk a new top layer and returns the one that holds its content of now. */
  #freeze(disk: Head): Layer {
    const { layer } = disk;
    if (layer.map.size === 0 && layer.parent) return layer.parent;
    layer.freeze();
    disk.layer = this.#layers.grow(layer);
    return layer;
  }

  #touch(disk: Head): void {
    disk.writes += 1;
    disk.modifiedAt = this.#clock.now().getTime();
  }

  #save(): void {
    const heads: CatalogRecord['heads'] = {};
    for (const [id, { layer, writes: _, modifiedAt: __, ...head }] of this.#heads) {
      heads[id] = { ...head, layer: layer.number };
    }
    saveCatalog(this.#folder, {
      format: 1,
      opened: this.#opened,
      next: { layer: this.#layers.next, sequence: this.#nextSequence },
      layers: this.#layers.records(),
      heads,
    });
  }
}
