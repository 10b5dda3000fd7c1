/**
 * The bytes of all pages, in slots of one page (4 KiB) of segment files.
 *
 * A slot belongs to at most one extent of one layer, so there is nothing to count: what no layer owns is free. Freed slots are used again
 * when the reads that had begun before are done. A segment that is wholly free gives its space back to the file system.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read as readCallback,
  readdirSync,
  rmSync,
  write as writeCallback,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CLEARED, IntervalMap } from './intervalMap.ts';

export const PAGE_BYTES = 4096;
/** Pages that so many bytes from a page's start reach into. */
export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

const SEGMENT_SLOTS = 262_144;

/** `count` consecutive slots. */
export interface SlotRun {
  slot: number;
  count: number;
}

const readFd = promisify(readCallback);
const writeFd = promisify(writeCallback);

export class Content {
  readonly #folder: string;
  readonly #descriptors = new Map<number, number>();
  readonly #free = new IntervalMap();
  #freeSlots = 0;
  /** One past the highest slot ever used. */
  #end = 0;
  /** Reads in flight, counted by the generation in which they began; oldest first. */
  readonly #reads = new Map<number, number>();
  #generation = 0;
  readonly #waiting: { generation: number; runs: SlotRun[] }[] = [];

  /** `owned`: every slot that a layer holds; the others up to the highest are free. */
  constructor(folder: string, owned: Iterable<SlotRun>) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    const used = new IntervalMap();
    for (const { slot, count } of owned) {
      if (used.replace(slot, slot + count, CLEARED).length > 0)
        throw new Error(`Slot ${slot} is owned twice.`);
      this.#end = Math.max(this.#end, slot + count);
    }
    let from = 0;
    for (const run of used.all()) {
      this.#addFree(from, run.start);
      from = run.end;
    }
    for (const name of readdirSync(folder)) {
      if (Number.parseInt(name, 10) * SEGMENT_SLOTS >= this.#end) rmSync(join(folder, name));
    }
  }

  /** Takes `count` slots, in one run where that costs no space. They belong to the caller until `release`. */
  allocate(count: number): SlotRun[] {
    const whole = this.#takeWhole(count);
    if (whole) return [whole];
    // Small holes are used up once they are a good part of the files; before that, long runs are worth more.
    const pieces = this.#freeSlots > this.#end / 4 ? this.#takePieces(count) : [];
    const rest = pieces.reduce((left, piece) => left - piece.count, count);
    if (rest > 0) {
      pieces.push({ slot: this.#end, count: rest });
      this.#end += rest;
    }
    return pieces;
  }

  /** Gives slots back. They are used again after the reads in flight have ended. */
  release(runs: SlotRun[]): void {
    if (runs.length === 0) return;
    this.#waiting.push({ generation: this.#generation, runs });
    this.#generation += 1;
    this.#settle();
  }

  /** Reads whole and part pages: `plan` names slot, byte in the slot, and where in `target` so many bytes go. */
  async read(
    target: Buffer,
    plan: { slot: number; within: number; at: number; length: number }[],
  ): Promise<void> {
    const generation = this.#generation;
    this.#reads.set(generation, (this.#reads.get(generation) ?? 0) + 1);
    try {
      for (const { slot, within, at, length } of plan) {
        for (const piece of this.#pieces(slot * PAGE_BYTES + within, length)) {
          let done = 0;
          while (done < piece.length) {
            const { bytesRead } = await readFd(
              piece.descriptor,
              target,
              at + piece.from + done,
              piece.length - done,
              piece.position + done,
            );
            if (bytesRead === 0)
              throw new Error(`A segment file of ${this.#folder} is shorter than its layers say.`);
            done += bytesRead;
          }
        }
      }
    } finally {
      const left = (this.#reads.get(generation) ?? 1) - 1;
      if (left === 0) this.#reads.delete(generation);
      else this.#reads.set(generation, left);
      this.#settle();
    }
  }

  /** Writes whole pages into a run of slots. */
  async write(slot: number, bytes: Uint8Array): Promise<void> {
    for (const piece of this.#pieces(slot * PAGE_BYTES, bytes.byteLength)) {
      let done = 0;
      while (done < piece.length) {
        const part = bytes.subarray(piece.from + done, piece.from + piece.length);
        const { bytesWritten } = await writeFd(
          piece.descriptor,
          part,
          0,
          part.byteLength,
          piece.position + done,
        );
        done += bytesWritten;
      }
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
  }

  /** The parts of a stretch of bytes by segment file. */
  *#pieces(
    position: number,
    length: number,
  ): Generator<{ descriptor: number; position: number; from: number; length: number }> {
    const segmentBytes = SEGMENT_SLOTS * PAGE_BYTES;
    for (let from = 0; from < length; ) {
      const segment = Math.floor((position + from) / segmentBytes);
      const inSegment = position + from - segment * segmentBytes;
      const part = Math.min(length - from, segmentBytes - inSegment);
      yield { descriptor: this.#descriptor(segment), position: inSegment, from, length: part };
      from += part;
    }
  }

  #descriptor(segment: number): number {
    let descriptor = this.#descriptors.get(segment);
    if (descriptor === undefined) {
      const file = join(this.#folder, `${String(segment).padStart(6, '0')}.seg`);
      descriptor = openSync(file, existsSync(file) ? 'r+' : 'w+', 0o600);
      this.#descriptors.set(segment, descriptor);
    }
    return descriptor;
  }

  #takeWhole(count: number): SlotRun | undefined {
    let tried = 0;
    for (const cursor = this.#free.cursor(0); !cursor.done && tried < 256; cursor.next()) {
      tried += 1;
      if (cursor.end - cursor.start < count) continue;
      return this.#take(cursor.start, count);
    }
    return undefined;
  }

  #takePieces(count: number): SlotRun[] {
    const pieces: SlotRun[] = [];
    for (let left = count; left > 0; ) {
      const { done, start, end } = this.#free.cursor(0);
      if (done) break;
      const piece = this.#take(start, Math.min(left, end - start));
      pieces.push(piece);
      left -= piece.count;
    }
    return pieces;
  }

  #take(slot: number, count: number): SlotRun {
    this.#free.replace(slot, slot + count, undefined);
    this.#freeSlots -= count;
    return { slot, count };
  }

  #addFree(start: number, end: number): void {
    if (end <= start) return;
    this.#free.replace(start, end, CLEARED);
    this.#freeSlots += end - start;
  }

  #settle(): void {
    const [oldest = Number.POSITIVE_INFINITY] = this.#reads.keys();
    // A read of generation g began before the release of generation g: that release waits for it.
    while (this.#waiting[0] && this.#waiting[0].generation < oldest) {
      for (const { slot, count } of this.#waiting.shift()?.runs ?? []) {
        this.#addFree(slot, slot + count);
        this.#trim(slot, slot + count);
      }
    }
  }

  #trim(start: number, end: number): void {
    for (let segment = Math.floor(start / SEGMENT_SLOTS); segment * SEGMENT_SLOTS < end; segment += 1) {
      const first = segment * SEGMENT_SLOTS;
      const last = Math.min(first + SEGMENT_SLOTS, this.#end);
      const hole = this.#free.cursor(first);
      if (!hole.done && hole.start <= first && hole.end >= last) ftruncateSync(this.#descriptor(segment), 0);
    }
  }
}
