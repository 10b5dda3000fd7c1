import { openBackup, readState } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Takes the machine's chain and looks at the machine. */
export const openSession = activity(
  'openSession',
  ofSession,
  async ({ installation, instances }, { sessionId }) => {
    const { disks } = await openBackup(installation, instances, sessionId);
    const { request } = await readState(installation, sessionId, 'backup');
    return { disks: disks.map(({ number }) => number), mover: request.protection.mover };
  },
);
