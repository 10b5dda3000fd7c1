/** Collection and compaction of what no restore point needs. See README.md for the rules and why they hold. */
export { type Collected, collect, type ExecuteOptions } from './collect.ts';
export { type Compacted, compact } from './compact.ts';
export {
  type CompactionOptions,
  type CompactionPlan,
  type PackToCompact,
  planCompaction,
} from './compactionPlan.ts';
export {
  createLease,
  type Lease,
  type LeaseOptions,
  releaseLease,
  renewLease,
  type StoredLease,
  withLease,
} from './lease.ts';
export { planMapRewrite } from './mapRewrite.ts';
export {
  type CollectionPlan,
  type Damaged,
  type GarbageItem,
  type PlanOptions,
  planCollection,
} from './plan.ts';
export type { Root } from './roots.ts';
export { type ChainStatistics, chainStatistics, type PointStatistics } from './statistics.ts';
export type { SurveyOptions } from './survey.ts';
