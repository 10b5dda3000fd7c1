/** What a disk store refuses, and why. */
type DiskStoreErrorCode =
  | 'notFound'
  | 'exists'
  | 'readOnly'
  | 'misaligned'
  | 'outOfRange'
  | 'shrink'
  | 'otherLineage'
  | 'previousIsNewer'
  | 'inUse'
  | 'damaged';

/** An error of the disk store. `id` is the disk or snapshot that it is about. */
export class DiskStoreError extends Error {
  override name = 'DiskStoreError';
  readonly code: DiskStoreErrorCode;
  readonly id: string | undefined;

  constructor(code: DiskStoreErrorCode, message: string, id?: string) {
    super(message);
    this.code = code;
    this.id = id;
  }
}
