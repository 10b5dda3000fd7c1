import { z } from 'zod';
import { watchRestorePoint as watch } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Looks whether the restore point is made. */
export const watchRestorePoint = activity(
  'watchRestorePoint',
  ofSession.extend({ set: z.number().int() }),
  ({ installation }, input) => watch(installation, input),
);
