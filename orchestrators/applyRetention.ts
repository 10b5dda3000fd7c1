import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, until } from './steps.ts';

/** Removes the restore points and snapshots of one machine that its policy no longer keeps. */
export function* applyRetention(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'removeExpired', { sessionId }, pollSeconds));
}
