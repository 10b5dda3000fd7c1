import type { Installation } from '../installation/index.ts';

const WAIT_MS = 20_000;
const LOOK_MS = 500;
const DELETION_MINUTES = 10;

/**
 * Deletes a snapshot, unless a member of its family is being read: deleting one member makes the service squash data and
 * refuse readers of the others for a while. True when it is gone; false: later. May be repeated.
 */
export async function deleteSnapshot(
  installation: Installation,
  sessionId: string,
  snapshotId: string,
): Promise<boolean> {
  const { azure, catalog, clock } = installation;
  const info = await azure.snapshots.find(snapshotId);
  if (!info) return true;
  const family = info.familyId;
  const until = new Date(clock.now().getTime() + DELETION_MINUTES * 60_000);
  if (family !== null && !(await catalog.grants.beginDeletion(family, sessionId, until))) return false;
  try {
    // A grant that nobody holds any more (its row was lost) would keep the snapshot from being deleted.
    if (info.diskState === 'ActiveSAS') await azure.grants.revokeAccess(snapshotId);
    await azure.snapshots.startRemove(snapshotId);
    return await isGone(installation, snapshotId);
  } finally {
    if (family !== null) await catalog.grants.endDeletion(family, sessionId);
  }
}

/** Deletions take seconds; one that takes longer is looked at again by the sweep. */
async function isGone({ azure, clock }: Installation, snapshotId: string): Promise<boolean> {
  const until = clock.now().getTime() + WAIT_MS;
  for (;;) {
    if (!(await azure.snapshots.find(snapshotId))) return true;
    if (clock.now().getTime() >= until) return false;
    await clock.sleep(LOOK_MS);
  }
}
