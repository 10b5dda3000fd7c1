import type { DiskSource, PageLists } from '../../../lib/datapath/index.ts';
import { type ByteRange, KiB } from '../../../lib/model/index.ts';

/** Disks are written in pieces of this size. */
export const PIECE = 16 * KiB;

/** What a disk holds at one moment: of each piece that was ever written, what it holds (0: zeros, unallocated) and when that was. */
export interface Content {
  readonly sizeBytes: number;
  readonly pieces: ReadonlyMap<number, { readonly seed: number; readonly write: number }>;
}

const bodies = new Map<number, Buffer>();

/** The bytes of a piece: the same for the same seed, and half of them hard to compress. */
export function bodyOf(seed: number): Buffer {
  const known = bodies.get(seed);
  if (known) return known;
  const body = Buffer.alloc(PIECE, seed & 0xff);
  for (let at = 0, state = seed | 1; at < PIECE / 2; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    body.writeInt32LE(state, at);
  }
  if (bodies.size > 2000) bodies.clear();
  bodies.set(seed, body);
  return body;
}

/** A disk that keeps only what was written, however large it is said to be. */
export class SparseDisk {
  readonly id: string;
  readonly name: string;
  readonly uniqueId: string;
  readonly pieces = new Map<number, { seed: number; write: number }>();
  sizeBytes: number;
  #writes = 0;

  constructor(id: string, uniqueId: string, sizeBytes: number) {
    this.id = id;
    this.name = id.split('/').at(-1) ?? id;
    this.uniqueId = uniqueId;
    this.sizeBytes = sizeBytes;
  }

  /** @param piece number of the piece; `seed` 0 discards it */
  write(piece: number, seed: number): void {
    this.pieces.set(piece, { seed, write: ++this.#writes });
  }

  freeze(): Content {
    return { sizeBytes: this.sizeBytes, pieces: new Map(this.pieces) };
  }
}

function* within(pieces: Iterable<number>, { offset, length }: ByteRange): Iterable<number> {
  for (const piece of pieces) if (piece * PIECE >= offset && piece * PIECE < offset + length) yield piece;
}

const rangesOf = (pieces: Iterable<number>): ByteRange[] =>
  [...pieces].sort((a, b) => a - b).map((piece) => ({ offset: piece * PIECE, length: PIECE }));

/** What the platform says of a snapshot: which ranges hold data, and which differ from another one. */
export function listsOf(snapshot: Content, base: Content | null): PageLists {
  const holds = (piece: number): boolean => (snapshot.pieces.get(piece)?.seed ?? 0) !== 0;
  return {
    allocated: async (window) => rangesOf([...within(snapshot.pieces.keys(), window)].filter(holds)),
    changed: async (window) => {
      const differs = [...within(snapshot.pieces.keys(), window)].filter(
        (piece) => snapshot.pieces.get(piece)?.write !== base?.pieces.get(piece)?.write,
      );
      return {
        changed: rangesOf(differs.filter(holds)),
        cleared: rangesOf(differs.filter((piece) => !holds(piece))),
      };
    },
  };
}

/** Reads a stretch of a content. */
export function bytesOf({ pieces }: Content, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let piece = Math.floor(offset / PIECE); piece * PIECE < offset + length; piece++) {
    const seed = pieces.get(piece)?.seed ?? 0;
    if (seed === 0) continue;
    const at = piece * PIECE - offset;
    bodyOf(seed).copy(bytes, Math.max(0, at), Math.max(0, -at));
  }
  return bytes;
}

export const sourceOf = (content: Content): DiskSource => ({
  sizeBytes: content.sizeBytes,
  read: async (offset, length) => bytesOf(content, offset, length),
});
