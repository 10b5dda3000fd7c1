import { createHash, createHmac } from 'node:crypto';
import type { ChainKeys } from './keys.ts';

/** Bytes of a block's digest. */
export const DIGEST_BYTES = 24;
/** HMAC-SHA-256 (SHA-256 in mode `none`) of the plain block, its first 24 bytes. Other ids are free for other functions. */
export const DIGEST_HMAC_SHA256_192 = 1;

/** Digest of a plain block, under the repository's digest key: equal blocks of all chains have equal digests. */
export function blockDigest({ digest: key }: ChainKeys, block: Uint8Array): Buffer {
  const hasher = key ? createHmac('sha256', key) : createHash('sha256');
  return hasher.update(block).digest().subarray(0, DIGEST_BYTES);
}
