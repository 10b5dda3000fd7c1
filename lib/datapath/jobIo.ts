import type { JobProgress } from '../model/index.ts';
import type { BlobStore } from '../repository/index.ts';
import type { Lanes } from './lanes.ts';
import type { DiskSink, DiskSource, PageLists } from './ports.ts';

/** Everything a job touches, given from outside: the same job runs in a worker and inline in an activity. */
export interface JobIo {
  /** `encodeChainKeys(chain.keys)`. A secret. */
  readonly chainKey: Buffer;
  /** The repository's data container: create and read. */
  readonly data: BlobStore;
  /** The installation's staging container: create and read. */
  readonly staging: BlobStore;
  /** Plan and move: the snapshot. */
  readonly source?: DiskSource;
  /** Plan: the snapshot's page lists. */
  readonly lists?: PageLists;
  /** Restore: the disk in upload. */
  readonly sink?: DiskSink;
  /** Threads for the heavy part of moves and restores; without any it runs in this thread. */
  readonly lanes?: Lanes | undefined;
  /** Counts from 1. Part of the name of everything that the job writes. */
  readonly attempt: number;
  /** What the last attempt saved. */
  readonly checkpoint?: unknown;
  /** At most 8 KiB of JSON. */
  saveCheckpoint(state: unknown): Promise<void>;
  progress(progress: JobProgress): void;
  /** Services refused so many requests of lanes in threads, and so long is waited for it. */
  refused?(calls: number, seconds: number): void;
  readonly signal: AbortSignal;
  /** In [0, 1): which blocks are sampled. `Math.random` where absent. */
  readonly random?: () => number;
}
