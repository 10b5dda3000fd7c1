import { HoldfastError } from '../../model/index.ts';
import type { BlobStore } from '../blobStore.ts';
import type { Chain } from '../chain.ts';
import { missingObject } from '../damage.ts';
import type { PointManifest } from '../manifest.ts';
import { chainPrefix, DESCRIPTOR, manifestName, packName, parsePackName } from '../names.ts';
import { dependenciesOf } from './dependencies.ts';
import { type LockPlan, lockDate, planLocks } from './generation.ts';
import type { LockableStore } from './lockableStore.ts';
import { LockingMeta } from './lockingMeta.ts';

/** Locks are set one request an object; so many at once. */
const AT_ONCE = 8;

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
}

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
  throw new HoldfastError(
    'notConfigured',
    `The lock of ${open} in ${store.name} was accepted and is not in force until ${until.toISOString()}. The restore point was not committed. Check that version-level immutability is on for this container.`,
    { target: open },
  );
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
