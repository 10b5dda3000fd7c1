import { createHash } from 'node:crypto';
import { VHD_FOOTER_BYTES, vhdFooter } from '../../lib/azure/vhdFooter.ts';
import { HoldfastError } from '../../lib/model/index.ts';
import type { DiskBlock, PointManifest } from '../../lib/repository/index.ts';

export const IMAGE_FORMATS = ['raw', 'vhd'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** Where a disk is restored to. Everything that is not written reads as zeros. */
export interface Image {
  /** Writes blocks of one run; what is past the disk's end is cut. */
  write(run: readonly DiskBlock[]): Promise<void>;
  /** The disk is complete: afterwards it is there under its name, and on stable storage. */
  finish(): Promise<void>;
  /** The restore failed: nothing is left that could be taken for a disk. Returns what to tell the person. */
  discard(): Promise<string>;
}

/** What both kinds of image need to know of a disk. */
export interface ImageShape {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** What follows the disk's bytes: nothing, or the footer of a fixed VHD. */
  readonly footer: Buffer;
}

/** The shape of an image of a disk of a point. The footer is made of what the point says, so that it is always the same. */
export function imageShape(
  { chain, sequence, takenAt }: PointManifest,
  disk: PointManifest['disks'][number],
  blockBytes: number,
  format: ImageFormat,
): ImageShape {
  const { sizeBytes, sectorSize, number } = disk;
  if (format === 'raw') return { sizeBytes, blockBytes, footer: Buffer.alloc(0) };
  if (sectorSize !== 512 || sizeBytes % VHD_FOOTER_BYTES !== 0) {
    throw new HoldfastError(
      'unsupported',
      `A VHD has sectors of 512 bytes; disk ${number} has ${sectorSize}-byte sectors. Restore it with --format raw.`,
    );
  }
  const id = createHash('sha256').update(`${chain}/${sequence}/${number}`).digest().subarray(0, 16);
  return { sizeBytes, blockBytes, footer: vhdFooter(sizeBytes, { id, created: new Date(takenAt) }) };
}
