import { HoldfastError } from '../lib/model/index.ts';
import { enterStep } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Copies the newest restore point to the machine's archive chain. There is no archive repository to configure yet. */
export const archivePoint = activity('archivePoint', ofSession, async ({ installation }, { sessionId }) => {
  await enterStep(installation, sessionId);
  throw new HoldfastError(
    'notConfigured',
    'No archive repository is configured for this installation; nothing was archived.',
  );
});
