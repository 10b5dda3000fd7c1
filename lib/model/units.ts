/** Nominal numbers, so that an offset cannot be passed where a block number is wanted. */
declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]: Name };

/** Number of a block on a disk: offset / block size of the chain. */
export type BlockIndex = Unit<'BlockIndex'>;

export const blockIndex = (n: number): BlockIndex => n as BlockIndex;

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

/** A half-open stretch of a disk: `[offset, offset + length)`, both in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}
