import { isHoldfastError } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';

/**
 * Creates an object whose bytes are ours alone (they hold fresh random bytes). When the name is taken, equal bytes mean
 * that an earlier try of this very call arrived: `created`. Other bytes are somebody else's: `taken`.
 */
export async function createOnce(
  store: BlobStore,
  name: string,
  bytes: Buffer,
  signal?: AbortSignal,
): Promise<'created' | 'taken'> {
  try {
    await store.create(name, bytes, { signal });
    return 'created';
  } catch (error) {
    if (!isHoldfastError(error, 'alreadyExists')) throw error;
    const there = await store.read(name, undefined, { signal });
    return there.bytes.equals(bytes) ? 'created' : 'taken';
  }
}

/** Reads an object, or null where there is none. */
export async function readIfThere(store: BlobStore, name: string, signal?: AbortSignal) {
  try {
    return await store.read(name, undefined, { signal });
  } catch (error) {
    if (isHoldfastError(error, 'missingObject')) return null;
    throw error;
  }
}
