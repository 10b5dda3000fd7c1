import { z } from 'zod';
import { startRestorePoint as start } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Starts a restore point of the machine: one moment for all disks. */
export const startRestorePoint = activity(
  'startRestorePoint',
  ofSession.extend({ set: z.number().int() }),
  async ({ installation }, input) => {
    await start(installation, input);
    return null;
  },
);
