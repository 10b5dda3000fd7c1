import { releaseAccess } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Gives back the access to snapshots and disks. */
export const releaseGrants = activity('releaseGrants', ofSession, async ({ installation }, { sessionId }) => {
  await releaseAccess(installation, sessionId);
  return null;
});
