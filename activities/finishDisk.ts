import { finishDisk as finish } from '../lib/sessions/index.ts';
import { activity, ofDisk } from './define.ts';

/** Writes the footer of a restored disk and ends its upload: from then on it can be attached. */
export const finishDisk = activity('finishDisk', ofDisk, async ({ installation }, input) => {
  await finish(installation, input);
  return null;
});
