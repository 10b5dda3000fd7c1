import { z } from 'zod';
import { watchSnapshots as watch } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks whether the snapshots of a set are complete and readable. */
export const watchSnapshots = activity(
  'watchSnapshots',
  ofSession.extend({ set: z.number().int(), final: z.boolean() }),
  ({ installation }, input) => watch(installation, input),
);
