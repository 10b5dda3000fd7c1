import { removeSome } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Removes some of the restore points and snapshots that a person wants gone. */
export const removeAsked = activity('removeAsked', ofSession, ({ installation }, { sessionId }) =>
  removeSome(installation, sessionId),
);
