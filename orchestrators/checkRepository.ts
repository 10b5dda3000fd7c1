import type { OrchestrationContext } from 'durable-functions';
import { type SessionInput, type Steps, session, until } from './steps.ts';

/** Verifies the repository, slice by slice, and heals what newer restore points can give back. */
export function* checkRepository(context: OrchestrationContext): Steps<void> {
  const input = context.df.getInput<SessionInput>();
  if (!input) throw new Error('checkRepository needs its session as input');
  const { sessionId, pollSeconds } = input;
  yield* session(context, input, until(context, 'verifySome', { sessionId }, pollSeconds));
}
