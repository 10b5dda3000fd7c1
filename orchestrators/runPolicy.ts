import type { OrchestrationContext } from 'durable-functions';
import { type SessionInput, type Steps, session, sessionOf, step, until } from './steps.ts';

/**
 * One run of a policy: backs up every machine in its scope, each in an instance of its own, at a paced rate. It watches
 * their sessions, so that one failing machine fails nobody else.
 */
export function* runPolicy(context: OrchestrationContext): Steps<void> {
  const input = sessionOf(context);
  yield* session(context, input, machines(context, input));
}

function* machines(context: OrchestrationContext, { sessionId, pollSeconds }: SessionInput): Steps<void> {
  yield* step(context, 'openPolicyRun', { sessionId });
  yield* until(context, 'backUpMachines', { sessionId }, pollSeconds);
}
