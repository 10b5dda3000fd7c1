import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, until } from './steps.ts';

/** Removes snapshots that nobody needs or wants any more, or finds and takes up those that are there. */
export function* tendSnapshots(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'tendSome', { sessionId }, pollSeconds));
}
