import { z } from 'zod';
import { watchTaken as watch } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks whether the moments of all snapshots are taken, so that the guest need not be quiet any longer. */
export const watchTaken = activity(
  'watchTaken',
  ofSession.extend({ set: z.number().int() }),
  ({ installation }, input) => watch(installation, input),
);
