import { z } from 'zod';
import { startGuestScript as start } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Starts the script of the policy in the guest, before or after the snapshots. */
export const startGuestScript = activity(
  'startGuestScript',
  ofSession.extend({ set: z.number().int(), stage: z.enum(['before', 'after']) }),
  async ({ installation }, input) => {
    await start(installation, input);
    return null;
  },
);
