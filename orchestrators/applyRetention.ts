import type { OrchestrationContext } from 'durable-functions';
import { type SessionInput, type Steps, session, until } from './steps.ts';

/** Removes the restore points and snapshots of one machine that its policy no longer keeps. */
export function* applyRetention(context: OrchestrationContext): Steps<void> {
  const input = context.df.getInput<SessionInput>();
  if (!input) throw new Error('applyRetention needs its session as input');
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'removeExpired', { sessionId }, pollSeconds));
}
