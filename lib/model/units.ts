/** Nominal numbers, so that an offset cannot be passed where a block number is wanted. */
declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]: Name };

/** Position on a disk, in bytes from its start. */
export type ByteOffset = Unit<'ByteOffset'>;
/** Number of a block on a disk: offset / block size of the chain. */
export type BlockIndex = Unit<'BlockIndex'>;
/** Number of a page of the block map: block / 256. */
export type PageIndex = Unit<'PageIndex'>;

export const byteOffset = (n: number): ByteOffset => n as ByteOffset;
export const blockIndex = (n: number): BlockIndex => n as BlockIndex;
export const pageIndex = (n: number): PageIndex => n as PageIndex;

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

/** A half-open stretch of a disk: `[offset, offset + length)`, both in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}
