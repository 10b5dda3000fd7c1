import type { OrchestrationContext } from 'durable-functions';
import { type SessionInput, type Steps, session, step } from './steps.ts';

/** Copies the newest restore point of a machine to its archive chain. */
export function* archiveMachine(context: OrchestrationContext): Steps<void> {
  const input = context.df.getInput<SessionInput>();
  if (!input) throw new Error('archiveMachine needs its session as input');
  yield* session(context, input, step(context, 'archivePoint', { sessionId: input.sessionId }));
}
