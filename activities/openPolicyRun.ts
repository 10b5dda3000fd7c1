import { openPolicyRun as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Resolves the machines in the policy's scope. */
export const openPolicyRun = activity('openPolicyRun', ofSession, ({ installation }, { sessionId }) =>
  run(installation, sessionId),
);
