import { rescanAll as rescan } from '../lib/sessions/index.ts';
import { activity, ofSession } from './define.ts';

/** Makes the catalog again from the repository. */
export const rescanAll = activity('rescanAll', ofSession, async ({ installation }, { sessionId }) => {
  await rescan(installation, sessionId);
  return null;
});
