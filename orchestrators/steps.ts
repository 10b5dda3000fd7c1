import type { OrchestrationContext, Task } from 'durable-functions';
import type {
  ActivityInput,
  ActivityName,
  ActivityResult,
  DispatchedJobs,
  LookName,
  Outcome,
  Seen,
} from '../activities/names.ts';
import { type Failure, fromFailure, later, toFailure } from '../lib/model/index.ts';

/** A part of an orchestrator: yields durable tasks, returns a result. */
export type Steps<T> = Generator<Task, T, unknown>;

/** With the waits between them: over five minutes, the longest window of Azure's limits on snapshots. */
const TRIES = 7;
const FIRST_WAIT_SECONDS = 5;
const FAN_OUT = 50;

/** What every session's orchestrator is started with. */
export interface SessionInput {
  readonly sessionId: string;
  /** Shortest wait between two looks, from the settings of the app that started it. */
  readonly pollSeconds: number;
}

/** The input of an orchestrator: the session that it runs. */
export function sessionOf(context: OrchestrationContext): SessionInput {
  const input = context.df.getInput<SessionInput>();
  if (!input) throw new Error('An orchestrator needs its session as input.');
  return input;
}

export function* sleep(context: OrchestrationContext, seconds: number): Steps<void> {
  // The durable clock, moved on: the same in every replay.
  yield context.df.createTimer(later(context.df.currentUtcDateTime, seconds));
}

/** One activity; a retryable failure is tried again with growing waits, any other is thrown as `HoldfastError`. */
export function* step<N extends ActivityName>(
  context: OrchestrationContext,
  name: N,
  input: ActivityInput<N>,
): Steps<ActivityResult<N>> {
  for (let attempt = 1; ; attempt++) {
    const outcome = (yield context.df.callActivity(name, input)) as Outcome<ActivityResult<N>>;
    if (outcome.ok) return outcome.value;
    if (!outcome.failure.retryable || attempt === TRIES) throw fromFailure(outcome.failure);
    yield* sleep(context, FIRST_WAIT_SECONDS * 2 ** (attempt - 1));
  }
}

/** Waits, in a child of its own, until the activity has seen what it looks for. Throws its failure. */
export function* until<N extends LookName>(
  context: OrchestrationContext,
  activity: N,
  input: ActivityInput<N>,
  pollSeconds: number,
): Steps<Seen<N>> {
  const child = context.df.callSubOrchestrator('awaitCondition', { activity, input, pollSeconds, looks: 0 });
  const outcome = (yield child) as Outcome<Seen<N>>;
  if (!outcome.ok) throw fromFailure(outcome.failure);
  return outcome.value;
}

/** The same activity for many inputs side by side. All are waited for; then the first failure is thrown. */
export function* forEach<N extends ActivityName>(
  context: OrchestrationContext,
  name: N,
  inputs: readonly ActivityInput<N>[],
): Steps<void> {
  for (let from = 0; from < inputs.length; from += FAN_OUT) {
    let open = inputs.slice(from, from + FAN_OUT);
    for (let attempt = 1; open.length > 0; attempt++) {
      const tasks = open.map((input) => context.df.callActivity(name, input));
      const outcomes = (yield context.df.Task.all(tasks)) as Outcome<unknown>[];
      const failures = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.failure]));
      const final =
        failures.find((failure) => !failure.retryable) ?? (attempt === TRIES ? failures[0] : undefined);
      if (final) throw fromFailure(final);
      open = open.filter((_, i) => outcomes[i]?.ok === false);
      if (open.length > 0) yield* sleep(context, FIRST_WAIT_SECONDS * 2 ** (attempt - 1));
    }
  }
}

/** Has the jobs done, by a worker or by the app itself, and waits for the last. */
export function* doJobs(
  context: OrchestrationContext,
  input: SessionInput,
  { by }: DispatchedJobs,
): Steps<void> {
  const { sessionId, pollSeconds } = input;
  if (by === 'worker') {
    yield* until(context, 'watchWorker', { sessionId }, pollSeconds);
  } else {
    yield* until(context, 'uploadShard', { sessionId }, pollSeconds);
  }
  yield* until(context, 'collectShards', { sessionId }, pollSeconds);
}

/**
 * Runs a session's body, then gives everything back and closes the session, whatever happened. The fast path of the sweep:
 * a failure here is left to it.
 */
export function* session<T>(
  context: OrchestrationContext,
  input: SessionInput,
  body: Steps<T>,
): Steps<T | null> {
  let failure: Failure | null = null;
  let result: T | null = null;
  try {
    result = yield* body;
  } catch (error) {
    failure = toFailure(error);
  }
  const { sessionId } = input;
  for (const name of ['releaseGrants', 'deallocateWorker'] as const) {
    try {
      yield* step(context, name, { sessionId });
    } catch {
      // The intent rows still name what is left; the sweep releases it.
    }
  }
  yield* step(context, 'closeSession', { sessionId, failure });
  return failure ? null : result;
}
