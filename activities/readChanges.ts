import { planReads } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Decides how each disk is read, and has its changes listed. */
export const readChanges = activity('readChanges', ofSession, ({ installation }, { sessionId }) =>
  planReads(installation, sessionId),
);
