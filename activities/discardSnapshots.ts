import { z } from 'zod';
import { discardSnapshots as discard, prepareAnew, readState, reopenBackup } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Removes a set of snapshots that came out wrong, and looks at the machine anew. */
export const discardSnapshots = activity(
  'discardSnapshots',
  ofSession.extend({ set: z.number().int() }),
  async ({ installation }, input) => {
    await discard(installation, input);
    const { request } = await readState(installation, input.sessionId, 'backup');
    const lookAgain = request.makes === 'snapshot' ? prepareAnew : reopenBackup;
    const { disks } = await lookAgain(installation, input.sessionId);
    return { disks: disks.map(({ number }) => number) };
  },
);
