import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, step } from './steps.ts';

/** Makes the catalog again from the objects of the repository. */
export function* rescanRepository(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  yield* session(context, input, step(context, 'rescanAll', { sessionId: input.sessionId }));
}
