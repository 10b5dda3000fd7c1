/** What a disk store refuses to do. Each check throws DiskStoreError. */
import { DiskStoreError } from './errors.ts';
import type { DiskDescription } from './types.ts';

export const SECTOR_BYTES = 512;

type DiskShape = Pick<DiskDescription, 'kind' | 'lineage' | 'sequence' | 'sizeBytes'>;

export function checkLineage(id: string, head: DiskShape, previousId: string, previous: DiskShape): void {
  if (head.lineage !== previous.lineage) {
    throw new DiskStoreError(
      'otherLineage',
      `${previousId} is not a snapshot of the disk that ${id} is of.`,
      previousId,
    );
  }
  const isLater = head.kind === 'disk' || previous.sequence <= head.sequence;
  if (previous.kind === 'disk' || !isLater) {
    throw new DiskStoreError('previousIsNewer', `${previousId} is newer than ${id}.`, previousId);
  }
}

export function checkSize(id: string, sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % SECTOR_BYTES !== 0) {
    throw new DiskStoreError(
      'misaligned',
      `The size of ${id}, ${sizeBytes} bytes, is not a positive multiple of 512.`,
      id,
    );
  }
}

export function checkRange(id: string, head: DiskShape, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > head.sizeBytes) {
    throw new DiskStoreError(
      'outOfRange',
      `Bytes ${offset}+${length} are not within ${id} (${head.sizeBytes} bytes).`,
      id,
    );
  }
}

export function checkSectors(id: string, head: DiskShape, offset: number, length: number): void {
  checkRange(id, head, offset, length);
  if (offset % SECTOR_BYTES !== 0 || length % SECTOR_BYTES !== 0) {
    throw new DiskStoreError(
      'misaligned',
      `Bytes ${offset}+${length} of ${id} are not whole sectors of 512 bytes.`,
      id,
    );
  }
}
