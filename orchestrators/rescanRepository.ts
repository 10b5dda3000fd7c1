import type { OrchestrationContext } from 'durable-functions';
import { type SessionInput, type Steps, session, step } from './steps.ts';

/** Makes the catalog again from the objects of the repository. */
export function* rescanRepository(context: OrchestrationContext): Steps<void> {
  const input = context.df.getInput<SessionInput>();
  if (!input) throw new Error('rescanRepository needs its session as input');
  yield* session(context, input, step(context, 'rescanAll', { sessionId: input.sessionId }));
}
