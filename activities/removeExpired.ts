import { applyRetention as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Removes what the policy no longer keeps, a few at a time. */
export const removeExpired = activity('removeExpired', ofSession, ({ installation }, { sessionId }) =>
  run(installation, sessionId),
);
