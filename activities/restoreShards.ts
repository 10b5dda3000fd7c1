import { dispatchRestore } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Adds the jobs that write the new disks. */
export const restoreShards = activity('restoreShards', ofSession, ({ installation }, { sessionId }) =>
  dispatchRestore(installation, sessionId),
);
