import { releaseWorker } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Gives the worker back: deallocated or deleted. */
export const deallocateWorker = activity(
  'deallocateWorker',
  ofSession,
  async ({ installation }, { sessionId }) => {
    await releaseWorker(installation, sessionId);
    return null;
  },
);
