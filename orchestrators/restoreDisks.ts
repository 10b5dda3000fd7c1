import type { OrchestrationContext } from 'durable-functions';
import { doJobs, forEach, type SessionInput, type Steps, session, sessionOf, step, until } from './steps.ts';

/** Restores disks of a restore point to new managed disks. */
export function* restoreDisks(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  yield* session(context, input, restore(context, input));
}

function* restore(context: OrchestrationContext, input: SessionInput): Steps<void> {
  const { sessionId, pollSeconds } = input;
  const opened = yield* step(context, 'openRestore', { sessionId });
  const disks = opened.disks.map((disk) => ({ sessionId, disk }));
  // The worker boots while the disks are created.
  if (opened.mover === 'worker') yield* step(context, 'launchWorker', { sessionId });
  yield* forEach(context, 'createDisk', disks);
  yield* until(context, 'watchDisks', { sessionId }, pollSeconds);
  yield* doJobs(context, input, yield* step(context, 'restoreShards', { sessionId }));
  // Writes the footer, takes the access away, and so has the platform validate the disk.
  yield* forEach(context, 'finishDisk', disks);
}
