import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, until } from './steps.ts';

/** Verifies the repository, slice by slice, and heals what newer restore points can give back. */
export function* checkRepository(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'verifySome', { sessionId }, pollSeconds));
}
