import { failureSchema } from '../lib/model/index.ts';
import { endSession } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Gives back whatever is left, and makes the session's row final. */
export const closeSession = activity(
  'closeSession',
  ofSession.extend({ failure: failureSchema.nullable() }),
  async ({ installation }, input) => {
    await endSession(installation, input.sessionId, input.failure);
    return null;
  },
);
