import { commitBackup, startCopies } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Creates the manifest: the moment at which the restore point begins to exist. */
export const commitRestorePoint = activity(
  'commitRestorePoint',
  ofSession,
  async ({ installation, instances }, { sessionId }) => {
    const { chainId, sequence, disks } = await commitBackup(installation, sessionId);
    await startCopies(installation, instances, sessionId);
    return { chainId, sequence, readReasons: [...new Set(disks.map(({ readReason }) => readReason))] };
  },
);
