export {
  type BaseChoice,
  type BaseOptions,
  chooseBase,
  type PreviousRead,
  type SnapshotFacts,
} from './base.ts';
export {
  type Decision,
  type PointFacts,
  planPointRetention,
  planSnapshotRetention,
  type SnapshotRetentionFacts,
} from './retention.ts';
