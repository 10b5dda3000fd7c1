import { watchWorker as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks whether the worker has reported. */
export const watchWorker = activity('watchWorker', ofSession, ({ installation }, { sessionId }) =>
  run(installation, sessionId),
);
