import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Clock, HoldfastError, isHoldfastError, systemClock } from '../../model/index.ts';
import type { Chain } from '../chain.ts';
import { createOnce, readIfThere } from '../createOnce.ts';
import { decoding } from '../damage.ts';
import type { PointManifest } from '../manifest.ts';
import { LEASES } from '../names.ts';
import { readPoint } from '../points.ts';
import type { Repository } from '../repository.ts';
import { KIND, openWhole, sealWhole } from '../sealedObject.ts';

/** A lease that was not renewed for so long is ignored: milliseconds of the store's clock. */
export const LEASE_EXPIRES_MS = 60 * 60 * 1000;
/** Its holder gives it up this much earlier: the store's times are whole seconds. */
const MARGIN_MS = 60 * 1000;
export const RENEW_LEASE_MS = 10 * 60 * 1000;
const RETRY_MS = 60 * 1000;

const leaseSchema = z.strictObject({
  /** `reader`: the number is in use. `collector`: deletes or compacts; keeps nothing alive. */
  kind: z.enum(['reader', 'collector']),
  chain: z.string(),
  /** The number that is being read; null for a collector. */
  sequence: z.number().int().positive().nullable(),
  /** For people. */
  by: z.string(),
});
/** What somebody is using. */
export type Lease = z.infer<typeof leaseSchema>;

export interface StoredLease extends Lease {
  readonly name: string;
  readonly etag: string;
  /** By the store's clock. */
  readonly renewedAt: Date;
}

/** Leases belong to no chain: the chain id that they are sealed with is empty. */
const binding = (name: string) => ({ kind: KIND.lease, chain: '', name });
const seal = ({ keys }: Repository, name: string, lease: Lease): Buffer =>
  sealWhole(keys.meta, binding(name), Buffer.from(JSON.stringify(lease), 'utf8')).bytes;

/** Creates a lease under a name of its own. A reader must read the manifest after this, not before. */
export async function createLease(repository: Repository, lease: Lease): Promise<StoredLease> {
  const name = `${LEASES}${randomBytes(16).toString('hex')}`;
  await createOnce(repository.meta, name, seal(repository, name, lease));
  const stored = await readLease(repository, name);
  if (!stored) throw leaseLost(name, 'it was removed at once');
  return stored;
}

/** Null when it is not there. */
export async function readLease(repository: Repository, name: string): Promise<StoredLease | null> {
  const stored = await readIfThere(repository.meta, name);
  if (!stored) return null;
  const plain = openWhole(repository.keys.meta, binding(name), stored.bytes);
  const lease = decoding(name, 'the lease', () => leaseSchema.parse(JSON.parse(plain.toString('utf8'))));
  return { ...lease, name, etag: stored.etag, renewedAt: stored.lastModified };
}

/**
 * Shows that its holder lives; returns it with the store's time. `claimLost` when it is gone, or was not renewed for an hour:
 * collection may have ignored it meanwhile, and its holder must begin anew.
 */
export async function renewLease(repository: Repository, name: string): Promise<StoredLease> {
  for (;;) {
    const { etag, renewedAt, ...stored } = (await readLease(repository, name)) ?? {};
    if (etag === undefined || !renewedAt) throw leaseLost(name, 'it is gone');
    const { kind, chain, sequence, by } = stored as StoredLease;
    const lease = { kind, chain, sequence, by };
    try {
      const next = await repository.meta.replace(name, seal(repository, name, lease), etag);
      if (next.lastModified.getTime() - renewedAt.getTime() < LEASE_EXPIRES_MS - MARGIN_MS)
        return { ...lease, name, etag: next.etag, renewedAt: next.lastModified };
    } catch (error) {
      // An earlier try of this call may have arrived.
      if (isHoldfastError(error, 'preconditionFailed') || isHoldfastError(error, 'missingObject')) continue;
      throw error;
    }
    await releaseLease(repository, name);
    throw leaseLost(name, 'it was not renewed for an hour');
  }
}

/** May be called again. */
export const releaseLease = ({ meta }: Repository, name: string): Promise<void> => meta.remove(name);

const leaseLost = (name: string, why: string): HoldfastError =>
  new HoldfastError('claimLost', `The lease ${name} is lost: ${why}. Begin again.`, { target: name });

export interface LeaseOptions {
  /** Who reads: for people. */
  readonly by: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a restore point under a lease: creates it, then reads the manifest, then calls `use`, and renews the lease while that
 * runs. `missingObject` when the number holds no point (any more). When the lease is lost, the signal that `use` got is
 * aborted, with the reason. Without the right to write leases: read the manifest anew, and be done within 24 hours.
 */
export async function withLease<T>(
  chain: Chain,
  sequence: number,
  { by, clock = systemClock, signal }: LeaseOptions,
  use: (manifest: PointManifest, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { repository } = chain;
  const { name } = await createLease(repository, { kind: 'reader', chain: chain.id, sequence, by });
  const done = new AbortController();
  const lost = new AbortController();
  const using = AbortSignal.any(signal ? [signal, lost.signal] : [lost.signal]);
  const renewing = (async () => {
    for (let wait = RENEW_LEASE_MS; ; ) {
      await clock.sleep(wait, done.signal);
      wait = await renewLease(repository, name).then(
        () => RENEW_LEASE_MS,
        (error: unknown) => {
          if (isHoldfastError(error) && error.retryable) return RETRY_MS;
          throw error;
        },
      );
    }
  })().catch((error: unknown) => {
    if (!done.signal.aborted) lost.abort(error);
  });
  try {
    return await use((await readPoint(chain, sequence)).manifest, using);
  } finally {
    done.abort();
    await renewing;
    await releaseLease(repository, name);
  }
}

/** A lease's name with its age, as it was listed. */
interface ListedLease {
  readonly name: string;
  readonly bytes: number;
  readonly etag: string;
}

export interface Leases {
  readonly live: readonly StoredLease[];
  /** Not renewed for an hour, and probes of the store's clock that were left: may go. */
  readonly expired: readonly ListedLease[];
}

/**
 * The leases at `now` (the store's clock). One that cannot be read is `corruptObject` while it may be in force: what it names
 * is not known. After an hour it is ignored like any other.
 */
export async function listLeases(repository: Repository, now: Date, signal?: AbortSignal): Promise<Leases> {
  const live: StoredLease[] = [];
  const expired: ListedLease[] = [];
  for await (const { name, size, etag, lastModified } of repository.meta.list(LEASES, { signal })) {
    if (now.getTime() - lastModified.getTime() >= LEASE_EXPIRES_MS) expired.push({ name, bytes: size, etag });
    else if (size > 0 || !name.startsWith(`${LEASES}time-`)) {
      const lease = await readLease(repository, name);
      if (lease) live.push(lease);
    }
  }
  return { live, expired };
}
