import type { OrchestrationContext } from 'durable-functions';
import { type SessionInput, type Steps, session, until } from './steps.ts';

/** Collects what no restore point needs any more, and compacts sparse packs. */
export function* collectGarbage(context: OrchestrationContext): Steps<void> {
  const input = context.df.getInput<SessionInput>();
  if (!input) throw new Error('collectGarbage needs its session as input');
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'collectSome', { sessionId }, pollSeconds));
}
