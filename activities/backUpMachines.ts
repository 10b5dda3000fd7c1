import { backUpMachines as run } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Starts the backups of a policy run at a paced rate, and looks at them. */
export const backUpMachines = activity(
  'backUpMachines',
  ofSession,
  ({ installation, instances }, { sessionId }) => run(installation, instances, sessionId),
);
