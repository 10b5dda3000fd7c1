import type { ByteRange } from '../model/index.ts';

/** A disk, or a snapshot of one, to read from. Reads past `sizeBytes` are a caller's fault. */
export interface DiskSource {
  readonly sizeBytes: number;
  /**
   * Reads `length` bytes at `offset` (both multiples of 512). May be called many times in parallel; retries transient
   * failures itself; `accessExpired` when the SAS is refused, so that the caller can ask for a fresh one. `into`: memory that
   * may be used, and is then the beginning of the answer's; it is the source's until the promise is settled.
   */
  read(offset: number, length: number, signal?: AbortSignal, into?: Buffer): Promise<Buffer>;
}

/** What the platform says of a snapshot's content. Ranges are half-open, ascending, disjoint, cut at the window. */
export interface PageLists {
  /** Ranges that hold data. What is not listed reads as zeros. */
  allocated(window: ByteRange, signal?: AbortSignal): Promise<ByteRange[]>;
  /** Ranges that differ from the base snapshot: `changed` hold data, `cleared` read as zeros. `diffFailed` if the service refuses. */
  changed(window: ByteRange, signal?: AbortSignal): Promise<{ changed: ByteRange[]; cleared: ByteRange[] }>;
}

/** A fresh disk in upload, which reads as zeros until written. */
export interface DiskSink {
  readonly sizeBytes: number;
  /** Writes at `offset` (offset and length multiples of 512); may be repeated with the same bytes. */
  write(offset: number, bytes: Buffer, signal?: AbortSignal): Promise<void>;
}
