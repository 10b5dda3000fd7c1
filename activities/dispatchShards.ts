import { dispatchMoves } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Turns the plans into move jobs. */
export const dispatchShards = activity('dispatchShards', ofSession, ({ installation }, { sessionId }) =>
  dispatchMoves(installation, sessionId),
);
