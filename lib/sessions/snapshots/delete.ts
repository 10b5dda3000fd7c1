import type { Installation } from '../../installation/index.ts';
import { isHoldfastError } from '../../model/index.ts';

const WAIT_MS = 20_000;
const LOOK_MS = 500;
const DELETION_MINUTES = 10;

/** What became of a snapshot that was to be deleted. */
export type Deletion = { readonly gone: true } | { readonly gone: false; readonly why: string };

/** As `tryDeleteSnapshot`, for callers to whom it is the same why: true when it is gone; false: later. */
export async function deleteSnapshot(
  installation: Installation,
  sessionId: string,
  snapshotId: string,
): Promise<boolean> {
  return (await tryDeleteSnapshot(installation, sessionId, snapshotId)).gone;
}

/**
 * Deletes a snapshot, unless a member of its family is being read: deleting one member makes the service squash data and
 * refuse readers of the others for a while. One that somebody locked stays, which is no failure of whoever wanted it gone.
 * What is not gone now may go later: the call may be repeated.
 */
export async function tryDeleteSnapshot(
  installation: Installation,
  sessionId: string,
  snapshotId: string,
): Promise<Deletion> {
  const { azure, catalog, clock } = installation;
  const info = await azure.snapshots.find(snapshotId);
  if (!info) return { gone: true };
  const family = info.familyId;
  const until = new Date(clock.now().getTime() + DELETION_MINUTES * 60_000);
  if (family !== null && !(await catalog.grants.beginDeletion(family, sessionId, until)))
    return { gone: false, why: 'a snapshot of the same disk is being read' };
  try {
    // A grant that nobody holds any more (its row was lost) would keep the snapshot from being deleted.
    if (info.diskState === 'ActiveSAS') await azure.grants.revokeAccess(snapshotId);
    await azure.snapshots.startRemove(snapshotId);
    return (await isGone(installation, snapshotId))
      ? { gone: true }
      : { gone: false, why: 'Azure is still deleting it' };
  } catch (error) {
    if (!isHoldfastError(error, 'locked')) throw error;
    return { gone: false, why: 'a lock on it, its group or its subscription forbids deleting it' };
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
