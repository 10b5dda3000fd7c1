import { collectJobs } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks at the jobs, and shows their progress. */
export const collectShards = activity('collectShards', ofSession, ({ installation }, { sessionId }) =>
  collectJobs(installation, sessionId),
);
