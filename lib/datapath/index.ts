/**
 * The data path: plan (what to read), move (disk to repository) and restore (repository to disk), on ports only. See README.md.
 */
export type { JobIo } from './jobIo.ts';
export { LaneExaminer } from './laneExaminer.ts';
export type { LanePlaces, Lanes } from './lanes.ts';
export { type LaneAccess, LaneThreads } from './laneThreads.ts';
export { runMove } from './move.ts';
export { runPlan } from './plan.ts';
export * from './ports.ts';
export { runRestore } from './restore.ts';
export { runJob } from './runJob.ts';
export { isLaneThread, runLaneThread } from './runLaneThread.ts';
