/**
 * Immutability: version-level locks on what restore points need, for containers that keep versions.
 *
 * Invariants
 * - What a point depends on (packs, map objects, trees, `chain`, descriptor) is locked, and the locks are read back, before its
 *   manifest is created, which brings its own lock. So a point that exists is locked as a whole, until one date.
 * - Locks are in generations of ten days from the chain's founding; within one, only new objects need a lock.
 * - A lock is never shortened. Refusals name the date.
 * - Readers see, of a name with several versions, the one that counts (`judgeBy`), not the one on top.
 *
 * Not promised: protection of packs between their upload and the commit (they are verified by it), of claims, leases, `owner`
 * and voids, which no point needs; protection from whoever may lift the account itself. Locked packs cost their price until
 * the date, also when their point was removed.
 */
export { type Dependencies, dependenciesOf } from './dependencies.ts';
export {
  GENERATION_MS,
  type Generation,
  generationAt,
  type KnownLocks,
  type LockPlan,
  lockDate,
  planLocks,
} from './generation.ts';
export { type Judge, judgeBy, type Rank } from './judge.ts';
export {
  type Lock,
  type LockableStore,
  type LockedInfo,
  lockedUntil,
  type VersionInfo,
} from './lockableStore.ts';
export { openVersioned } from './openVersioned.ts';
export { PointLocks, type PointLocksOptions, packsAmong } from './pointLocks.ts';
export { VersionedView } from './versionedView.ts';
