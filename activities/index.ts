import { archivePoint } from './archivePoint.ts';
import { backUpMachines } from './backUpMachines.ts';
import { closeSession } from './closeSession.ts';
import { collectShards } from './collectShards.ts';
import { collectSome } from './collectSome.ts';
import { commitRestorePoint } from './commitRestorePoint.ts';
import { createDisk } from './createDisk.ts';
import { deallocateWorker } from './deallocateWorker.ts';
import type { Activity } from './define.ts';
import { discardSnapshots } from './discardSnapshots.ts';
import { dispatchShards } from './dispatchShards.ts';
import { finishDisk } from './finishDisk.ts';
import { launchWorker } from './launchWorker.ts';
import { openPolicyRun } from './openPolicyRun.ts';
import { openRestore } from './openRestore.ts';
import { openSession } from './openSession.ts';
import { readChanges } from './readChanges.ts';
import { releaseGrants } from './releaseGrants.ts';
import { removeAsked } from './removeAsked.ts';
import { removeExpired } from './removeExpired.ts';
import { rescanAll } from './rescanAll.ts';
import { restoreShards } from './restoreShards.ts';
import { snapshotDisk } from './snapshotDisk.ts';
import { startGuestScript } from './startGuestScript.ts';
import { startRestorePoint } from './startRestorePoint.ts';
import { startRetention } from './startRetention.ts';
import { tendSome } from './tendSome.ts';
import { uploadShard } from './uploadShard.ts';
import { verifySome } from './verifySome.ts';
import { watchDisks } from './watchDisks.ts';
import { watchGuestScript } from './watchGuestScript.ts';
import { watchRestorePoint } from './watchRestorePoint.ts';
import { watchSnapshots } from './watchSnapshots.ts';
import { watchTaken } from './watchTaken.ts';
import { watchWorker } from './watchWorker.ts';

/** All activities, for registration. */
export const activities: readonly Activity[] = [
  removeAsked,
  removeExpired,
  archivePoint,
  backUpMachines,
  closeSession,
  collectSome,
  rescanAll,
  verifySome,
  collectShards,
  commitRestorePoint,
  createDisk,
  deallocateWorker,
  discardSnapshots,
  dispatchShards,
  finishDisk,
  launchWorker,
  openPolicyRun,
  openRestore,
  openSession,
  readChanges,
  releaseGrants,
  restoreShards,
  snapshotDisk,
  startGuestScript,
  startRestorePoint,
  startRetention,
  tendSome,
  uploadShard,
  watchDisks,
  watchGuestScript,
  watchRestorePoint,
  watchSnapshots,
  watchTaken,
  watchWorker,
];
