import { HoldfastError } from '../model/index.ts';
import type { DiskSource } from './ports.ts';

/** Reads exactly `length` bytes: a short answer is a fault of the source, never a shorter disk. */
export async function readExactly(
  source: DiskSource,
  offset: number,
  length: number,
  signal: AbortSignal,
  into?: Buffer,
): Promise<Buffer> {
  const bytes = await source.read(offset, length, signal, into);
  if (bytes.length !== length) {
    throw new HoldfastError(
      'unavailable',
      `The disk answered ${bytes.length} bytes for ${length} at offset ${offset}.`,
      {
        target: `offset ${offset}`,
      },
    );
  }
  return bytes;
}

/** One block, padded with zeros at the end of the disk; `read`: the bytes that were really read. */
export async function readBlock(
  source: DiskSource,
  block: number,
  blockBytes: number,
  signal: AbortSignal,
): Promise<{ plain: Buffer; read: number }> {
  const offset = block * blockBytes;
  const length = Math.min(blockBytes, source.sizeBytes - offset);
  return { plain: padTo(await readExactly(source, offset, length, signal), blockBytes), read: length };
}

/** `bytes` itself, or followed by zeros up to `length`. */
export const padTo = (bytes: Buffer, length: number): Buffer =>
  bytes.length === length ? bytes : Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);
