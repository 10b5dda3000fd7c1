import { z } from 'zod';
import { snapshotDisk as snapshot } from '../lib/sessions/index.ts';
import { activity, ofDisk } from './define.ts';

/** Starts an incremental snapshot of one disk. */
export const snapshotDisk = activity(
  'snapshotDisk',
  ofDisk.extend({ set: z.number().int() }),
  async ({ installation }, input) => {
    await snapshot(installation, input);
    return null;
  },
);
