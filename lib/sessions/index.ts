/** The steps of sessions. See README.md beside this file. */

export { releaseAccess } from './access.ts';
export { requestArchive } from './archive.ts';
export { commitBackup } from './backup/commit.ts';
export { openBackup, reopenBackup } from './backup/open.ts';
export { dispatchMoves, planReads } from './backup/plan.ts';
export { previewBackup } from './backup/preview.ts';
export { discardSnapshots, snapshotDisk, watchSnapshots } from './backup/snapshots.ts';
export { endSession } from './end.ts';
export { collectJobs } from './jobs/collect.ts';
export { doOneJob } from './jobs/inline.ts';
export { claimJob, completeJob, failJob, findPackage, recognise, renewJob } from './jobs/workerCalls.ts';
export { enterStep } from './live.ts';
export type { Looked } from './look.ts';
export { allMachines, findMachine, needMachine } from './machines.ts';
export { backUpMachines, openPolicyRun, requestPolicyRun } from './policyRun/run.ts';
export { type ScheduleTick, tickSchedules } from './policyRun/schedule.ts';
export type { Instances, OrchestratorName } from './ports.ts';
export { refuseWhileRunning, requestBackup } from './requests.ts';
export { createDisk, finishDisk, watchDisks } from './restore/disks.ts';
export { dispatchRestore } from './restore/dispatch.ts';
export { openRestore } from './restore/open.ts';
export { previewRestore, type RestoreAsked, requestRestore } from './restore/request.ts';
export { applyRetention, startRetention } from './retention.ts';
export { createdDisks, readState } from './state.ts';
export { type Swept, sweep } from './sweep.ts';
export { launchWorker, releaseWorker, watchWorker } from './worker.ts';
