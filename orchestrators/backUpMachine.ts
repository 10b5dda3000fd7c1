import type { OrchestrationContext } from 'durable-functions';
import type { CommittedPoint, OpenedSession } from '../activities/names.ts';
import { type Failure, fromFailure, toFailure } from '../lib/model/index.ts';
import { doJobs, forEach, type SessionInput, type Steps, session, sessionOf, step, until } from './steps.ts';

/** One backup of one machine: a restore point, or a reason why there is none. Or its snapshots alone. */
export function* backUpMachine(context: OrchestrationContext): Steps<CommittedPoint | null> {
  const input = sessionOf(context);
  const made = yield* session(context, input, backup(context, input));
  if (made) yield* step(context, 'startRetention', { sessionId: input.sessionId });
  return made === 'snapshots' ? null : made;
}

function* backup(context: OrchestrationContext, input: SessionInput): Steps<CommittedPoint | 'snapshots'> {
  const { sessionId } = input;
  const opened = yield* step(context, 'openSession', { sessionId });
  if (opened.makes === 'snapshot') {
    yield* snapshotMachine(context, input, opened);
    return 'snapshots';
  }
  // The worker boots while the snapshots are taken.
  if (opened.mover === 'worker') yield* step(context, 'launchWorker', { sessionId });
  yield* snapshotMachine(context, input, opened);
  yield* doJobs(context, input, yield* step(context, 'readChanges', { sessionId }));
  yield* doJobs(context, input, yield* step(context, 'dispatchShards', { sessionId }));
  return yield* step(context, 'commitRestorePoint', { sessionId });
}

/**
 * All disks at about one time: a restore point of the machine where the policy asks for one, else snapshots, with the policy's
 * scripts in the guest around them. A set that came out wrong is taken once more, and then accepted with a warning.
 */
function* snapshotMachine(
  context: OrchestrationContext,
  input: SessionInput,
  opened: OpenedSession,
): Steps<void> {
  const { sessionId, pollSeconds } = input;
  for (let set = 1, current = opened.disks; ; set++) {
    const moment = opened.moment === true && set === 1;
    const taking = takeSet(context, input, { set, disks: current, moment });
    const { whole } = yield* opened.guest ? withQuietGuest(context, input, set, taking) : taking;
    if (whole) return;
    const final = set === 2;
    const taken = yield* until(context, 'watchSnapshots', { sessionId, set, final }, pollSeconds);
    if (taken.retake === null) return;
    current = (yield* step(context, 'discardSnapshots', { sessionId, set })).disks;
  }
}

interface Set {
  readonly set: number;
  readonly disks: readonly number[];
  readonly moment: boolean;
}

/** `whole`: a restore point holds all disks, and no snapshots were taken. */
function* takeSet(
  context: OrchestrationContext,
  { sessionId, pollSeconds }: SessionInput,
  { set, disks, moment }: Set,
): Steps<{ readonly whole: boolean }> {
  if (moment) {
    yield* step(context, 'startRestorePoint', { sessionId, set });
    const { taken } = yield* until(context, 'watchRestorePoint', { sessionId, set }, pollSeconds);
    if (taken) return { whole: true };
  }
  const inputs = disks.map((disk) => ({ sessionId, set, disk }));
  yield* forEach(context, 'snapshotDisk', inputs);
  return { whole: false };
}

/** The script before, what is to be done while the guest is quiet, and the script after: whatever became of the other two. */
function* withQuietGuest<T>(
  context: OrchestrationContext,
  input: SessionInput,
  set: number,
  body: Steps<T>,
): Steps<T> {
  let failure: Failure | null = null;
  let result: { readonly value: T } | null = null;
  try {
    yield* runScript(context, input, set, 'before');
    const value = yield* body;
    yield* until(context, 'watchTaken', { sessionId: input.sessionId, set }, input.pollSeconds);
    result = { value };
  } catch (error) {
    failure = toFailure(error);
  }
  try {
    yield* runScript(context, input, set, 'after');
  } catch (error) {
    failure ??= toFailure(error);
  }
  if (failure || !result) throw fromFailure(failure ?? toFailure(new Error('nothing was taken')));
  return result.value;
}

function* runScript(
  context: OrchestrationContext,
  { sessionId, pollSeconds }: SessionInput,
  set: number,
  stage: 'before' | 'after',
): Steps<void> {
  yield* step(context, 'startGuestScript', { sessionId, set, stage });
  yield* until(context, 'watchGuestScript', { sessionId, set, stage }, pollSeconds);
}
