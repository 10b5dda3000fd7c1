import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, until } from './steps.ts';

/** Collects what no restore point needs any more, and compacts sparse packs. */
export function* collectGarbage(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'collectSome', { sessionId }, pollSeconds));
}
