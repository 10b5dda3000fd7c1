import { closeSync, openSync, readSync } from 'node:fs';
import type { Ranges } from './diskLists.ts';

const MiB = 1024 * 1024;
const CHUNK = 64 * MiB;
const PIECE = MiB;
const ZEROS = Buffer.alloc(PIECE);

/** Ranges of an image whose chunks of 64 MiB lie `spread` times as far apart: those of a larger, sparse disk with the same content. */
export const spreadRanges = (ranges: Ranges, spread: number): Ranges =>
  ranges.flatMap(([offset, length]) => {
    const parts: Ranges = [];
    for (let at = offset; at < offset + length; ) {
      const end = Math.min(offset + length, (Math.floor(at / CHUNK) + 1) * CHUNK);
      parts.push([at + Math.floor(at / CHUNK) * CHUNK * (spread - 1), end - at]);
      at = end;
    }
    return parts;
  });

/** What is allocated of an image, in memory. The rest reads as zeros and takes none. */
export class SparseImage {
  readonly #chunks = new Map<number, Buffer>();

  /** `allocated`: places on the disk; those in the file are `spread` times as near to each other. */
  constructor(path: string, allocated: Ranges, spread: number) {
    const file = openSync(path, 'r');
    for (const [offset, length] of allocated) {
      for (let at = offset; at < offset + length; ) {
        const [chunk, within] = this.#chunkAt(at);
        const inFile = Math.floor(at / CHUNK / spread) * CHUNK + within;
        const got = readSync(file, chunk, within, Math.min(CHUNK - within, offset + length - at), inFile);
        if (got === 0) throw new Error(`The image ends at ${at}.`);
        at += got;
      }
    }
    closeSync(file);
  }

  #chunkAt(at: number): [chunk: Buffer, within: number] {
    const index = Math.floor(at / CHUNK);
    const chunk = this.#chunks.get(index) ?? Buffer.alloc(CHUNK);
    this.#chunks.set(index, chunk);
    return [chunk, at - index * CHUNK];
  }

  /** Bytes `from` to `to`, both included. */
  *pieces(from: number, to: number): Generator<Buffer> {
    for (let at = from; at <= to; ) {
      const within = at % CHUNK;
      const length = Math.min(PIECE, to + 1 - at, CHUNK - within);
      yield this.#chunks.get(Math.floor(at / CHUNK))?.subarray(within, within + length) ??
        ZEROS.subarray(0, length);
      at += length;
    }
  }
}
