import type { OrchestrationContext } from 'durable-functions';
import type { CommittedPoint } from '../activities/names.ts';
import { doJobs, forEach, type SessionInput, type Steps, session, sessionOf, step, until } from './steps.ts';

/** One backup of one machine: a restore point, or a reason why there is none. */
export function* backUpMachine(context: OrchestrationContext): Steps<CommittedPoint | null> {
  const input = sessionOf(context);
  const point = yield* session(context, input, backup(context, input));
  if (point) yield* step(context, 'startRetention', { sessionId: input.sessionId });
  return point;
}

function* backup(context: OrchestrationContext, input: SessionInput): Steps<CommittedPoint> {
  const { sessionId } = input;
  const opened = yield* step(context, 'openSession', { sessionId });
  // The worker boots while the snapshots are taken.
  if (opened.mover === 'worker') yield* step(context, 'launchWorker', { sessionId });
  yield* snapshotMachine(context, input, opened.disks);
  yield* doJobs(context, input, yield* step(context, 'readChanges', { sessionId }));
  yield* doJobs(context, input, yield* step(context, 'dispatchShards', { sessionId }));
  return yield* step(context, 'commitRestorePoint', { sessionId });
}

/** Snapshots of all disks at about one time. A set that came out wrong is taken once more, and then accepted with a warning. */
function* snapshotMachine(
  context: OrchestrationContext,
  input: SessionInput,
  disks: readonly number[],
): Steps<void> {
  const { sessionId, pollSeconds } = input;
  for (let set = 1, current = disks; ; set++) {
    const inputs = current.map((disk) => ({ sessionId, set, disk }));
    yield* forEach(context, 'snapshotDisk', inputs);
    const final = set === 2;
    const taken = yield* until(context, 'watchSnapshots', { sessionId, set, final }, pollSeconds);
    if (taken.retake === null) return;
    current = (yield* step(context, 'discardSnapshots', { sessionId, set })).disks;
  }
}
