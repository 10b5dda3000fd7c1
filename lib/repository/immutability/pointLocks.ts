import { HoldfastError } from '../../model/index.ts';
import type { BlobStore } from '../blobStore.ts';
import type { Chain } from '../chain.ts';
import { missingObject } from '../damage.ts';
import type { PointManifest } from '../manifest.ts';
import { chainPrefix, DESCRIPTOR, manifestName, packName, parsePackName } from '../names.ts';
import { storeTime } from '../storeTime.ts';
import { dependenciesOf } from './dependencies.ts';
import { type LockPlan, lockDate, planLocks } from './generation.ts';
import type { LockableStore } from './lockableStore.ts';
import { LockingMeta } from './lockingMeta.ts';

/** Locks are set one request an object; so many at once. */
const AT_ONCE = 32;

export interface PointLocksOptions {
  readonly meta: LockableStore;
  readonly data: LockableStore;
  /** How long each point is immutable at the least, in days. */
  readonly retentionDays: number;
  readonly now: () => Date;
  /** What the repository is opened with as its meta container: default `meta` itself; a `VersionedView` of it. */
  readonly view?: BlobStore;
}

/**
 * Immutability of what sessions commit. Open the repository with `meta` of this object as its meta container, and give
 * `protect` to `commitPoint`: everything that the point depends on is locked, the locks are read back, and then its manifest
 * is created with its own lock, in one request.
 *
 * A crash leaves locked objects that no point needs; they go when their lock ends.
 */
export class PointLocks {
  readonly meta: LockingMeta;
  readonly #options: PointLocksOptions;

  constructor(options: PointLocksOptions) {
    this.#options = options;
    this.meta = new LockingMeta(options.meta, options.view ?? options.meta);
  }

  /** Throws `missingObject`, `corruptObject`, or `notConfigured` when a lock is not in force after it was set. */
  async protect(
    chain: Chain,
    manifest: PointManifest,
    signal?: AbortSignal,
  ): Promise<{ until: Date; extended: number }> {
    const { meta, data, retentionDays, now } = this.#options;
    const until = lockDate(new Date(chain.createdAt), now(), retentionDays);
    const needed = await dependenciesOf(chain, manifest, signal);
    const extended =
      (await lockAll(data, chain.id, needed.data, until, signal)) +
      (await lockAll(meta, chain.id, needed.meta, until, signal));
    this.meta.lockNext(manifestName(chain.id, manifest.sequence), until);
    return { until, extended };
  }

  /**
   * Reads the lock of a committed point's manifest back, and sets it where its creation brought none (an answer that was lost, a
   * service that took the lock and did not keep it). Throws `notConfigured` when it is not in force after that either.
   */
  async confirm(chain: Chain, manifest: PointManifest): Promise<Date> {
    const { meta, retentionDays } = this.#options;
    const name = manifestName(chain.id, manifest.sequence);
    const until = lockDate(new Date(chain.createdAt), new Date(manifest.committedAt), retentionDays);
    const now = await meta.lockOf(name);
    if (now) return now.until;
    await meta.extend(name, until);
    const after = await meta.lockOf(name);
    if (after) return after.until;
    throw notInForce(name, meta.name, { until, so: 'The restore point exists and can be removed.' });
  }

  /** Until when a point cannot be removed; null when it can. By the store's clock, where ours says that the time is over. */
  async heldUntil(chain: Pick<Chain, 'id'>, sequence: number): Promise<Date | null> {
    const { meta, now } = this.#options;
    const name = manifestName(chain.id, sequence);
    const counts = await this.meta.stat(name);
    if (!counts) return null;
    for await (const { name: found, etag, lock } of meta.listVersions(name)) {
      if (found !== name || etag !== counts.etag || !lock) continue;
      if (lock.until > now() || lock.until > (await storeTime({ meta: this.meta }))) return lock.until;
    }
    return null;
  }

  /** All objects of a chain whose locks are in force, by the store's clock, and until when: a name each in memory. */
  async lockedObjects(chain: Chain, signal?: AbortSignal): Promise<ReadonlyMap<string, Date>> {
    const { meta, data } = this.#options;
    const now = await storeTime({ meta: this.meta });
    const locked = new Map<string, Date>();
    // A generation has one date.
    const dates = new Map<number, Date>();
    for (const store of [meta, data]) {
      for await (const { name, lock } of store.listLocks(chainPrefix(chain.id), { signal }))
        if (lock && lock.until > now) {
          const time = lock.until.getTime();
          const date = dates.get(time) ?? lock.until;
          dates.set(time, date);
          locked.set(name, date);
        }
    }
    return locked;
  }
}

/** Whether any generation of a pack (named as `packName` does) is among objects. */
export function packsAmong(objects: ReadonlyMap<string, unknown>): (pack: string) => boolean {
  const packs = new Set<string>();
  for (const name of objects.keys()) {
    const pack = parsePackName(name);
    const chain = /^chains\/([^/]+)\//.exec(name)?.[1];
    if (pack && chain !== undefined) packs.add(packName(chain, pack.id));
  }
  return (pack) => packs.has(pack);
}

const notInForce = (name: string, store: string, { until, so }: { until: Date; so: string }): HoldfastError =>
  new HoldfastError(
    'notConfigured',
    `The lock of ${name} in ${store} was accepted and is not in force until ${until.toISOString()}. ${so} Check that version-level immutability is on for this container.`,
    { target: name },
  );

async function lockAll(
  store: LockableStore,
  chain: string,
  needed: ReadonlySet<string>,
  until: Date,
  signal?: AbortSignal,
): Promise<number> {
  const before = await plan(store, chain, needed, until, signal);
  const [missing] = before.missing;
  if (missing !== undefined) throw missingObject(missing, store.name);
  for (let from = 0; from < before.extend.length; from += AT_ONCE) {
    const some = before.extend.slice(from, from + AT_ONCE);
    await Promise.all(some.map((name) => store.extend(name, until, undefined, { signal })));
  }
  if (before.extend.length === 0) return 0;
  const after = await plan(store, chain, needed, until, signal);
  const [open] = [...after.missing, ...after.extend];
  if (open === undefined) return before.extend.length;
  throw notInForce(open, store.name, { until, so: 'The restore point was not committed.' });
}

/** By listing: one request for thousands of objects, and what it says is what the store will do. */
async function plan(
  store: LockableStore,
  chain: string,
  needed: ReadonlySet<string>,
  until: Date,
  signal?: AbortSignal,
): Promise<LockPlan> {
  const known = new Map<string, Date | null>();
  const compacted = new Map<string, string>();
  for (const prefix of needed.has(DESCRIPTOR) ? [DESCRIPTOR, chainPrefix(chain)] : [chainPrefix(chain)]) {
    for await (const { name, lock } of store.listLocks(prefix, { signal })) {
      known.set(name, lock?.until ?? null);
      const pack = parsePackName(name);
      if (pack && pack.generation > 0) compacted.set(packName(chain, pack.id), name);
    }
  }
  const names = [...needed].map((name) => (known.has(name) ? name : (compacted.get(name) ?? name)));
  return planLocks(names, known, until);
}
