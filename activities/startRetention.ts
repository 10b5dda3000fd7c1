import { startRetention as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Starts the retention of the machine, a session of its own. */
export const startRetention = activity(
  'startRetention',
  ofSession,
  async ({ installation, instances }, { sessionId }) => {
    await run(installation, instances, sessionId);
    return null;
  },
);
