import { guestScriptsOf, openBackup, openSnapshots, readState } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks at the machine, and takes its chain if a restore point is to be made. */
export const openSession = activity(
  'openSession',
  ofSession,
  async ({ installation, instances }, { sessionId }) => {
    const { request } = await readState(installation, sessionId, 'backup');
    const { makes, protection } = request;
    const { disks, configuration } =
      makes === 'snapshot'
        ? await openSnapshots(installation, sessionId)
        : await openBackup(installation, instances, sessionId);
    // A copy has its snapshots already.
    const takes = request.copyOf === null;
    return {
      disks: takes ? disks.map(({ number }) => number) : [],
      mover: protection.mover,
      makes,
      guest: takes && guestScriptsOf(configuration, protection) !== null,
      moment: takes && protection.consistency.mode !== 'crash',
    };
  },
);
