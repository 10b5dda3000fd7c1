import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;
export type Codec = typeof CODEC_RAW | typeof CODEC_ZSTD;

/** A block is stored raw unless zstd shrinks it to less than this share. */
const WORTH_IT = 0.97;

/** Level 1, into one output buffer. */
export function compressBlock(block: Buffer): { codec: Codec; stored: Buffer } {
  const packed = zstdCompressSync(block, {
    chunkSize: block.length + (block.length >> 7) + 512,
    pledgedSrcSize: block.length,
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
  });
  return packed.length > block.length * WORTH_IT
    ? { codec: CODEC_RAW, stored: block }
    : { codec: CODEC_ZSTD, stored: packed };
}

/** Throws a `RangeError` unless the result has exactly `length` bytes. */
export function expandBlock(codec: number, stored: Buffer, length: number): Buffer {
  if (codec !== CODEC_RAW && codec !== CODEC_ZSTD)
    throw new RangeError(`is packed with the unknown codec ${codec}`);
  const block =
    codec === CODEC_RAW
      ? stored
      : zstdDecompressSync(stored, { chunkSize: length + 64, maxOutputLength: length + 1 });
  if (block.length !== length) throw new RangeError(`has ${block.length} bytes instead of ${length}`);
  return block;
}

/** For metadata: level 3. */
export const deflate = (bytes: Buffer): Buffer =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });

/** Bounds what a decoder of metadata may produce, whatever the bytes say. */
const MAX_INFLATED = 64 * 1024 * 1024;
export const inflate = (bytes: Buffer): Buffer =>
  zstdDecompressSync(bytes, { maxOutputLength: MAX_INFLATED });
