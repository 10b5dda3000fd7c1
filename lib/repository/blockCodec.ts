import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { compressInto, compressRoom, expandInto } from './keptZstd.ts';

export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;
export type Codec = typeof CODEC_RAW | typeof CODEC_ZSTD;

/** A block is stored raw unless zstd shrinks it to less than this share. */
const WORTH_IT = 0.97;

/** Memory for what a block is compressed to, used again by the next. */
let room = Buffer.alloc(0);

/** `stored` is the block itself, or memory that the next call writes to. */
export function compressBlock(block: Buffer): { codec: Codec; stored: Buffer } {
  if (room.length < compressRoom(block.length)) room = Buffer.allocUnsafeSlow(compressRoom(block.length));
  const packed = compressInto(block, room);
  return packed.length > block.length * WORTH_IT
    ? { codec: CODEC_RAW, stored: block }
    : { codec: CODEC_ZSTD, stored: packed };
}

/** Throws a `RangeError` unless the result has exactly `length` bytes. `into`: memory for it, `length` bytes. */
export function expandBlock(codec: number, stored: Buffer, length: number, into?: Buffer): Buffer {
  if (codec !== CODEC_RAW && codec !== CODEC_ZSTD)
    throw new RangeError(`is packed with the unknown codec ${codec}`);
  const room = into?.length === length ? into : undefined;
  const block = codec === CODEC_RAW ? stored : expandInto(stored, room ?? Buffer.allocUnsafeSlow(length));
  if (block.length !== length) throw new RangeError(`has ${block.length} bytes instead of ${length}`);
  if (!room || block === room) return block;
  block.copy(room);
  return room;
}

/** For metadata: level 3. */
export const deflate = (bytes: Buffer): Buffer =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });

/** Bounds what a decoder of metadata may produce, whatever the bytes say. */
const MAX_INFLATED = 64 * 1024 * 1024;
export const inflate = (bytes: Buffer): Buffer =>
  zstdDecompressSync(bytes, { maxOutputLength: MAX_INFLATED });
