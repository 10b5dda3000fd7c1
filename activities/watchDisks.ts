import { watchDisks as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks whether the new disks can be written to. */
export const watchDisks = activity('watchDisks', ofSession, ({ installation }, { sessionId }) =>
  run(installation, sessionId),
);
