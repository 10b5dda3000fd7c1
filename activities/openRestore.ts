import { openRestore as open, readState } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Finds the restore point and says which disks are to be made. */
export const openRestore = activity('openRestore', ofSession, async ({ installation }, { sessionId }) => {
  const { disks } = await open(installation, sessionId);
  const { request } = await readState(installation, sessionId, 'restore');
  return { disks: disks.map(({ number }) => number), mover: request.mover };
});
