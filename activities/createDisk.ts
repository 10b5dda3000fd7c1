import { createDisk as create } from '../lib/sessions/index.ts';
import { activity, ofDisk } from './define.ts';

/** Starts to create one disk for upload. */
export const createDisk = activity('createDisk', ofDisk, async ({ installation }, input) => {
  await create(installation, input);
  return null;
});
