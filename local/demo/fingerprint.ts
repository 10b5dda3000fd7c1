import { createHash } from 'node:crypto';
import { MiB } from '../../lib/model/index.ts';

/** A stretch of a disk that holds something; what is between stretches reads as zeros. */
export interface Stretch {
  readonly offset: number;
  readonly bytes: Buffer;
}

/**
 * A disk or snapshot, byte by byte, as a digest for each MiB that is not all zeros: small enough to keep, and says where two
 * disks differ. It does not depend on how the bytes were delivered.
 */
export interface Fingerprint {
  readonly sizeBytes: number;
  readonly pieces: ReadonlyMap<number, string>;
}

const PIECE = MiB;

/** `stretches` ascend and do not overlap. */
export async function fingerprint(
  sizeBytes: number,
  stretches: AsyncIterable<Stretch>,
): Promise<Fingerprint> {
  const pieces = new Map<number, string>();
  const piece = Buffer.alloc(PIECE);
  let current = -1;
  let isZero = true;
  const close = () => {
    if (current >= 0 && !isZero) pieces.set(current, createHash('sha256').update(piece).digest('base64'));
    piece.fill(0);
    isZero = true;
  };
  for await (const { offset, bytes } of stretches) {
    for (let at = 0; at < bytes.length; ) {
      const number = Math.floor((offset + at) / PIECE);
      if (number !== current) {
        close();
        current = number;
      }
      const inPiece = (offset + at) % PIECE;
      const part = bytes.subarray(at, at + PIECE - inPiece);
      part.copy(piece, inPiece);
      isZero &&= isAllZero(part);
      at += part.length;
    }
  }
  close();
  return { sizeBytes, pieces };
}

/** Where two disks differ first, in words; undefined when every byte is the same. */
export function firstDifference(a: Fingerprint, b: Fingerprint): string | undefined {
  if (a.sizeBytes !== b.sizeBytes) return `sizes differ: ${a.sizeBytes} and ${b.sizeBytes} bytes`;
  const differing = [...new Set([...a.pieces.keys(), ...b.pieces.keys()])].filter(
    (number) => a.pieces.get(number) !== b.pieces.get(number),
  );
  if (differing.length === 0) return undefined;
  return `${differing.length} MiB differ, the first at byte ${Math.min(...differing) * PIECE}`;
}

const ZEROS = Buffer.alloc(PIECE);
const isAllZero = (bytes: Buffer): boolean => bytes.equals(ZEROS.subarray(0, bytes.length));
