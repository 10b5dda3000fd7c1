import type { Installation } from '../../installation/index.ts';
import { type Session, toFailure } from '../../model/index.ts';
import { cancelled } from '../live.ts';
import { askToStop, runningChildren } from './cancel.ts';
import { endSession } from './end.ts';

/**
 * Cancels a session, and those that it started: they end within one poll. A run of a policy that only waits, for the time of
 * its next machine, ends at once: its next poll may be ten minutes away.
 */
export async function cancelSession(installation: Installation, sessionId: string): Promise<Session> {
  const session = await askToStop(installation, sessionId);
  const idle =
    session.kind === 'policyRun' &&
    session.status === 'running' &&
    (await runningChildren(installation, sessionId)).length === 0;
  if (!idle) return session;
  // A child that was just being started reads the flag of the run when this is repeated, at the run's own end.
  await endSession(installation, sessionId, toFailure(cancelled(sessionId)));
  return (await installation.catalog.sessions.get(sessionId)) ?? session;
}
