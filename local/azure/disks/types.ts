/** The interface of the disk store: what the simulator's resource manager and data plane ask of it. All positions and lengths are bytes. */

/** Bytes [offset, offset + length). */
export interface ByteRange {
  offset: number;
  length: number;
}

/** A range that differs from the previous snapshot; `clear`: it held data there and is empty (zeros) here. */
export interface ChangedRange extends ByteRange {
  clear: boolean;
}

export interface DiskDescription {
  kind: 'disk' | 'snapshot';
  sizeBytes: number;
  /** Snapshots of one disk, and the disk, share a lineage; a copy begins a new one. Diffs exist within a lineage only. */
  lineage: string;
  /** Grows with every disk and snapshot of the store: the order in time within a lineage. */
  sequence: number;
  createdAt: Date;
  /** When the content last changed: `createdAt` for a snapshot. */
  modifiedAt: Date;
  /** Changes whenever the content may have changed, also when the store is opened anew; constant for a snapshot. */
  revision: string;
  /** True between `createForUpload` and `completeUpload`. `sizeBytes` then includes the 512 bytes of the footer. */
  uploading: boolean;
}

export interface DiskStat extends DiskDescription {
  /** Bytes in allocated pages (4 KiB each), counted by walking the allocation. */
  allocatedBytes: number;
}

/** A slice of a list that may be long. `next` is the offset to ask from for the rest; absent at the end. */
export interface RangePage<R extends ByteRange> {
  ranges: R[];
  next?: number;
}

/**
 * Disks and snapshots by id. Snapshots never change. Every method rejects with DiskStoreError (`notFound`, `exists`, ...).
 *
 * A resolved promise means: survives the death of the process. Calls on one disk take effect in the order in which they were made;
 * snapshot, clone and delete wait for the writes before them and hold back those after them.
 */
export interface DiskStore {
  /** An empty disk, which reads as zeros. Size in bytes, a multiple of 512. */
  create(id: string, sizeBytes: number): Promise<void>;
  /** As `create`, for direct upload: `uploadSizeBytes` is the disk's size plus the 512 bytes of its VHD footer. */
  createForUpload(id: string, uploadSizeBytes: number): Promise<void>;
  /** Takes the footer off: the disk is 512 bytes smaller and an ordinary one. Does not judge the footer (see validateFooter). */
  completeUpload(id: string): Promise<void>;
  /** Grows a disk; the new part reads as zeros. */
  resize(id: string, sizeBytes: number): Promise<void>;
  /** A point in time of a disk, at a cost that does not depend on size or content. */
  snapshot(diskId: string, snapshotId: string): Promise<void>;
  /** A new disk that begins with the content of a disk or snapshot, with a lineage of its own; `sizeBytes` may be larger. */
  clone(sourceId: string, newDiskId: string, sizeBytes?: number): Promise<void>;
  /** Removes a disk or snapshot. What other disks and snapshots still need stays; diffs among them do not change. */
  delete(id: string): Promise<void>;
  /** Reads within the size; what was never written or was cleared is zeros. No alignment asked. */
  read(id: string, offset: number, length: number): Promise<Buffer>;
  /** Writes 512-aligned bytes within the size of a disk. */
  write(id: string, offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes a 512-aligned part of a disk read as zeros; wholly covered pages are no longer allocated. */
  clear(id: string, offset: number, length: number): Promise<void>;
  /** The allocated ranges in a window (default: all), ascending, neither touching nor overlapping. */
  ranges(id: string, window?: ByteRange): AsyncIterable<ByteRange>;
  /** At most `limit` of them. */
  rangePage(id: string, window: ByteRange, limit: number): RangePage<ByteRange>;
  /**
   * What differs from the older snapshot `previousId` of the same lineage: pages written since (whether or not their bytes differ)
   * and pages cleared since that were allocated there; ascending, both kinds interleaved.
   */
  diff(id: string, previousId: string, window?: ByteRange): AsyncIterable<ChangedRange>;
  diffPage(id: string, previousId: string, window: ByteRange, limit: number): RangePage<ChangedRange>;
  has(id: string): boolean;
  /** Cheap: no walk over the allocation. */
  describe(id: string): DiskDescription;
  stat(id: string): DiskStat;
  list(): string[];
  /** Waits for running operations and closes the files. */
  close(): Promise<void>;
}
