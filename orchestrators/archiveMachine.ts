import type { OrchestrationContext } from 'durable-functions';
import { type Steps, session, sessionOf, step } from './steps.ts';

/** Copies the newest restore point of a machine to its archive chain. */
export function* archiveMachine(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  yield* session(context, input, step(context, 'archivePoint', { sessionId: input.sessionId }));
}
