/** The steps of sessions. See README.md beside this file. */

export { releaseAccess } from './access.ts';
export { requestArchive } from './archive.ts';
export { commitBackup } from './backup/commit.ts';
export { startCopies } from './backup/copy.ts';
export { guestScriptsOf, startGuestScript, watchGuestScript, watchTaken } from './backup/guest.ts';
export { startRestorePoint, watchRestorePoint } from './backup/guestMoment.ts';
export { openBackup, reopenBackup } from './backup/open.ts';
export { dispatchMoves, planReads } from './backup/plan.ts';
export { previewBackup } from './backup/preview.ts';
export { discardSnapshots, snapshotDisk, watchSnapshots } from './backup/snapshots.ts';
export { endSession } from './ending/end.ts';
export { type Forgotten, forgetSessions } from './ending/forget.ts';
export { cancelSession } from './ending/stop.ts';
export { type Swept, sweep } from './ending/sweep.ts';
export { collectJobs } from './jobs/collect.ts';
export { doOneJob } from './jobs/inline.ts';
export { claimJob, completeJob, failJob, findPackage, recognise, renewJob } from './jobs/workerCalls.ts';
export { enterStep } from './live.ts';
export type { Looked } from './look.ts';
export { calendarIn, coverMachine, type MachineCoverage } from './machines/coverage.ts';
export { type DiscoveryTrouble, withPowerStates } from './machines/discovery.ts';
export { findMachine, needMachine } from './machines/machines.ts';
export { type Survey, type SurveyedMachine, surveyMachines } from './machines/survey.ts';
export { checkSome } from './maintenance/check.ts';
export { collectSome, previewCollection } from './maintenance/collect.ts';
export { type MaintenanceRequest, requestMaintenance } from './maintenance/request.ts';
export { rescanAll } from './maintenance/rescan.ts';
export { type DamagedPoint, listDamage } from './overview/damage.ts';
export { type Overview, readOverview } from './overview/overview.ts';
export { readTree, type SessionNode, timesOf } from './overview/tree.ts';
export { tellCoverage } from './overview/watch.ts';
export { type Difference } from './policies/diff.ts';
export { estimatePolicy, pricesInForce, readDraft } from './policies/estimate.ts';
export type { Finding } from './policies/findings.ts';
export {
  diffPolicy,
  findPolicy,
  importPolicies,
  patchPolicy,
  putPolicy,
  refuseWhilePolicyRuns,
  removePolicy,
  setPolicyEnabled,
  stopPolicy,
} from './policies/store.ts';
export { validatePolicy } from './policies/validate.ts';
export { complianceOf, tellCompliance } from './policyRun/compliance.ts';
export { requestPolicyRun } from './policyRun/request.ts';
export { backUpMachines, openPolicyRun } from './policyRun/run.ts';
export { type ScheduleTick, tickSchedules } from './policyRun/schedule.ts';
export type { Instances, OrchestratorName } from './ports.ts';
export { planRemoval, type RemovalAsked } from './removal/plan.ts';
export { removeSome } from './removal/remove.ts';
export { requestRemoval } from './removal/request.ts';
export { adoptOwnRepository, previewAdoption } from './repositories/adopt.ts';
export {
  addKeySlot,
  changeKeyPassword,
  listKeySlots,
  removeKeySlot,
  rewrapKeySlot,
} from './repositories/keySlots.ts';
export {
  attachRepository,
  detachRepository,
  findRepository,
  listRepositories,
  needRepositories,
} from './repositories/places.ts';
export { type BackupRequest, refuseWhileRunning, requestBackup } from './requests.ts';
export { createDisk, finishDisk, watchDisks } from './restore/disks.ts';
export { dispatchRestore } from './restore/dispatch.ts';
export { openRestore } from './restore/open.ts';
export { previewRestore, type RestoreAsked, requestRestore } from './restore/request.ts';
export { applyRetention } from './retention/apply.ts';
export { holdPoint } from './retention/hold.ts';
export { previewRetention } from './retention/preview.ts';
export { readRemoved, requestRetention, startRetention } from './retention/request.ts';
export { describeSets } from './snapshots/list.ts';
export { openSnapshots, prepareAnew } from './snapshots/open.ts';
export { ORPHAN_DAYS, refuseRemoval, requestSnapshots, requestTending } from './snapshots/request.ts';
export { tendSnapshots } from './snapshots/tend.ts';
export { createdDisks, readState } from './state.ts';
export { withThrottling } from './throttling.ts';
export { launchWorker, releaseWorker, watchWorker } from './worker.ts';
