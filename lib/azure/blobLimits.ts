import type { BlobCall } from '../repository/blobStore.ts';
import { blobError, type StorageContext } from './blobErrors.ts';

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

/** A bounded call of the storage SDK; what it throws is said in the words of `context`. */
export async function blobCall<T>(
  context: StorageContext,
  options: BlobCall | undefined,
  mib: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await limited(options, mib, call);
  } catch (error) {
    throw blobError(error, context, options?.signal);
  }
}
