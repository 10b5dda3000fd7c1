import { z } from 'zod';
import { watchGuestScript as watch } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks whether the script in the guest has ended. */
export const watchGuestScript = activity(
  'watchGuestScript',
  ofSession.extend({ set: z.number().int(), stage: z.enum(['before', 'after']) }),
  ({ installation }, input) => watch(installation, input),
);
