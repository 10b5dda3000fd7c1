import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, until } from './steps.ts';

/** Removes restore points and snapshots of one machine, as a person asked for it. */
export function* removeData(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'removeAsked', { sessionId }, pollSeconds));
}
