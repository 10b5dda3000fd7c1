import { tendSnapshots as tend } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Does a part of what is to be done about our snapshots as a whole: removes some, or takes up what they say. */
export const tendSome = activity('tendSome', ofSession, ({ installation }, { sessionId }) =>
  tend(installation, sessionId),
);
