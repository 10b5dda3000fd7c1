import { collectSome as collect } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Collects and compacts one chain, or a part of it. */
export const collectSome = activity('collectSome', ofSession, ({ installation }, { sessionId }) =>
  collect(installation, sessionId),
);
