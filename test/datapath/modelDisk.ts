import type { DiskSink, DiskSource, PageLists } from '../../lib/datapath/index.ts';
import { type ByteRange, HoldfastError } from '../../lib/model/index.ts';

export const SECTOR = 512;

/** A frozen state of a model disk. Small and simple: the whole content, and which sectors hold data. */
export interface ModelSnapshot {
  readonly id: string;
  readonly content: Buffer;
  readonly allocated: readonly boolean[];
  /** Counts writes to each sector: what differs between two snapshots was written in between. */
  readonly writes: readonly number[];
}

/** A disk as a buffer. Offsets and lengths are in sectors. */
export class ModelDisk {
  content: Buffer;
  readonly uniqueId: string;
  #allocated: boolean[];
  #writes: number[];
  #snapshots = 0;

  constructor(uniqueId: string, sectors: number) {
    this.uniqueId = uniqueId;
    this.content = Buffer.alloc(sectors * SECTOR);
    this.#allocated = Array.from({ length: sectors }, () => false);
    this.#writes = Array.from({ length: sectors }, () => 0);
  }

  get sectors(): number {
    return this.content.length / SECTOR;
  }

  #touch(first: number, count: number, holds: boolean): void {
    for (let i = first; i < first + count; i++) {
      this.#allocated[i] = holds;
      this.#writes[i] = (this.#writes[i] ?? 0) + 1;
    }
  }

  /** Writes bytes made from `seed`; seed 0 writes zeros, which stay allocated. */
  write(first: number, count: number, seed: number): void {
    for (let i = first * SECTOR; i < (first + count) * SECTOR; i++) {
      this.content[i] =
        seed === 0 ? 0 : (Math.imul(i + seed * 7919, 2654435761) >>> (seed % 2 ? 24 : 29)) & 0xff;
    }
    this.#touch(first, count, true);
  }

  /** A guest's discard: the sectors read as zeros and hold no data. */
  discard(first: number, count: number): void {
    this.content.fill(0, first * SECTOR, (first + count) * SECTOR);
    this.#touch(first, count, false);
  }

  /** Changes a byte behind the back of changed block tracking. */
  corruptSilently(offset: number): void {
    this.content[offset] = (this.content[offset] ?? 0) ^ 0x5a;
  }

  grow(sectors: number): void {
    this.content = Buffer.concat([this.content, Buffer.alloc(sectors * SECTOR)]);
    this.#allocated.push(...Array.from({ length: sectors }, () => false));
    this.#writes.push(...Array.from({ length: sectors }, () => 0));
  }

  snapshot(): ModelSnapshot {
    return {
      id: `${this.uniqueId}/snapshots/${++this.#snapshots}`,
      content: Buffer.from(this.content),
      allocated: [...this.#allocated],
      writes: [...this.#writes],
    };
  }
}

/** Ranges of the sectors in a window for which `is` holds. */
function rangesWhere(window: ByteRange, is: (sector: number) => boolean): ByteRange[] {
  const ranges: { offset: number; length: number }[] = [];
  for (let at = window.offset; at < window.offset + window.length; at += SECTOR) {
    if (!is(at / SECTOR)) continue;
    const last = ranges.at(-1);
    if (last && last.offset + last.length === at) last.length += SECTOR;
    else ranges.push({ offset: at, length: SECTOR });
  }
  return ranges;
}

/** The platform's lists of a snapshot, and of its difference from a base. */
export function listsOf(snapshot: ModelSnapshot, base: ModelSnapshot | null, refuse?: string): PageLists {
  const differs = (sector: number) => snapshot.writes[sector] !== (base?.writes[sector] ?? 0);
  return {
    allocated: (window) =>
      Promise.resolve(rangesWhere(window, (sector) => snapshot.allocated[sector] === true)),
    changed: (window) => {
      if (refuse !== undefined) {
        return Promise.reject(new HoldfastError('diffFailed', 'the service refuses', { target: refuse }));
      }
      return Promise.resolve({
        changed: rangesWhere(window, (sector) => differs(sector) && snapshot.allocated[sector] === true),
        cleared: rangesWhere(window, (sector) => differs(sector) && snapshot.allocated[sector] !== true),
      });
    },
  };
}

export class ModelSource implements DiskSource {
  readonly sizeBytes: number;
  readonly reads: ByteRange[] = [];
  readonly #content: Buffer;

  constructor({ content }: ModelSnapshot) {
    this.#content = content;
    this.sizeBytes = content.length;
  }

  read(offset: number, length: number, signal?: AbortSignal): Promise<Buffer> {
    signal?.throwIfAborted();
    if (offset % SECTOR || length % SECTOR || offset + length > this.sizeBytes) {
      return Promise.reject(new RangeError(`read of ${offset}+${length}`));
    }
    this.reads.push({ offset, length });
    return Promise.resolve(Buffer.from(this.#content.subarray(offset, offset + length)));
  }

  get bytesRead(): number {
    return this.reads.reduce((sum, { length }) => sum + length, 0);
  }
}

/** A fresh disk. Remembers what was written, to see that zeros were not. */
export class ModelSink implements DiskSink {
  readonly content: Buffer;
  readonly writes: ByteRange[] = [];

  constructor(sizeBytes: number) {
    this.content = Buffer.alloc(sizeBytes);
  }

  get sizeBytes(): number {
    return this.content.length;
  }

  write(offset: number, bytes: Buffer, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (offset % SECTOR || bytes.length % SECTOR || bytes.length > 4 * 1024 * 1024) {
      return Promise.reject(new RangeError(`write of ${offset}+${bytes.length}`));
    }
    if (bytes.copy(this.content, offset) !== bytes.length)
      return Promise.reject(new RangeError('past the end'));
    this.writes.push({ offset, length: bytes.length });
    return Promise.resolve();
  }
}
