import type { BlobCall } from '../repository/blobStore.ts';

/** A call gets 30 s and a second for each MiB, retries included: the SDK has no time limit of its own. */
const BASE_MS = 30_000;
const MS_PER_MIB = 1_000;
/** How much of an object a read of unknown length may bring: an archive pack. */
export const LARGEST_MIB = 512;

/** Runs one call to blob storage that moves about `mib` MiB, until its time is up or its caller gives up. */
export function limited<T>(
  options: BlobCall | undefined,
  mib: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = AbortSignal.timeout(Math.ceil(BASE_MS + mib * MS_PER_MIB));
  return call(options?.signal ? AbortSignal.any([limit, options.signal]) : limit);
}
