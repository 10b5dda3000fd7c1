import { launchWorker as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Takes a worker of the region's pool and has its VM made or started. */
export const launchWorker = activity('launchWorker', ofSession, async ({ installation }, { sessionId }) => {
  await run(installation, sessionId);
  return null;
});
