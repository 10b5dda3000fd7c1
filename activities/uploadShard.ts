import { doOneJob } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Does one job in the app itself. */
export const uploadShard = activity('uploadShard', ofSession, ({ installation }, { sessionId }) =>
  doOneJob(installation, sessionId),
);
