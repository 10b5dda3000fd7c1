import { type Clock, isHoldfastError, systemClock } from '../../model/index.ts';
import type { Chain } from '../chain.ts';
import { Fence } from './fence.ts';
import type { CollectionPlan, GarbageItem } from './plan.ts';

export interface ExecuteOptions {
  /** Must own the repository. */
  readonly installation: string;
  /** Who does it: for people. */
  readonly by?: string;
  /** Where an earlier call stopped. */
  readonly from?: number;
  /** No batch is begun after so many milliseconds. */
  readonly budgetMs?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal | undefined;
}

export interface Collected {
  /** Objects that are gone, and their bytes as planned. */
  readonly removed: number;
  readonly bytes: number;
  /** Objects that were left: changed since they were planned, or held by the store. */
  readonly left: readonly string[];
  /** Where the next call goes on; null: the plan is done. */
  readonly next: number | null;
}

/** Between two checks of the fence. */
const BATCH = 32;

/**
 * Removes what a plan lists, in small batches, each after a look at the owner and at the collector's own lease. May be called
 * again, with the same plan or a new one, and by two at once: each removal is idempotent, and a crash leaves less garbage. Stops
 * at the end of its time; `next` says where. `notOwner`, `claimLost` and `conflict` mean: plan again, if the repository is ours.
 */
export async function collect(
  chain: Chain,
  plan: CollectionPlan,
  options: ExecuteOptions,
): Promise<Collected> {
  const { installation, by = 'collection', from = 0, budgetMs = Infinity, signal } = options;
  const clock = options.clock ?? systemClock;
  const end = clock.now().getTime() + budgetMs;
  const left: string[] = [];
  let removed = 0;
  let bytes = 0;
  let next = from;
  if (next >= plan.garbage.length) return { removed, bytes, left, next: null };
  const fence = await Fence.enter(chain, plan, { installation, by });
  try {
    while (next < plan.garbage.length && clock.now().getTime() < end) {
      signal?.throwIfAborted();
      await fence.check();
      const batch = plan.garbage.slice(next, next + BATCH);
      const gone = await Promise.all(batch.map((item) => removeItem(chain, item, signal)));
      batch.forEach((item, i) => {
        if (!gone[i]) return void left.push(item.name);
        removed++;
        bytes += item.bytes;
      });
      next += batch.length;
    }
  } finally {
    // An abandoned lease ends by itself; its removal must not hide what went wrong.
    await fence.leave().catch(() => undefined);
  }
  return { removed, bytes, left, next: next < plan.garbage.length ? next : null };
}

/** False: it was changed since it was planned, or the store holds it. */
async function removeItem(
  { repository }: Chain,
  { store, name, etag }: GarbageItem,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    await repository[store].remove(name, etag, { signal });
    return true;
  } catch (error) {
    if (isHoldfastError(error, 'preconditionFailed') || isHoldfastError(error, 'conflict')) return false;
    throw error;
  }
}
