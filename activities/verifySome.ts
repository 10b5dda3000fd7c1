import { checkSome } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Verifies a slice of the repository. */
export const verifySome = activity('verifySome', ofSession, ({ installation }, { sessionId }) =>
  checkSome(installation, sessionId),
);
