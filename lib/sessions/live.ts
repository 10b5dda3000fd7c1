import type { Installation } from '../installation/index.ts';
import { HoldfastError, type Session, type SessionPhase } from '../model/index.ts';

/**
 * Every step begins here: it works for a session that runs and that nobody asked to cancel, and leaves a sign of life.
 *
 * @throws `cancelled` once cancelling was asked for; `abandoned` when the session was ended by somebody else
 */
export async function enterStep(
  installation: Installation,
  sessionId: string,
  phase?: SessionPhase,
): Promise<Session> {
  const touchedAt = installation.clock.now().toISOString();
  const session = await installation.catalog.sessions.update(sessionId, (current) =>
    current.status === 'running' ? { ...current, touchedAt, phase: phase ?? current.phase } : current,
  );
  if (session.status !== 'running') {
    throw new HoldfastError(
      'abandoned',
      `Session ${sessionId} has ended (${session.status}); this step has nothing to do.`,
      {
        target: sessionId,
      },
    );
  }
  if (session.cancelRequested) throw cancelled(sessionId);
  return session;
}

export const cancelled = (sessionId: string): HoldfastError =>
  new HoldfastError('cancelled', `Session ${sessionId} was cancelled.`, { target: sessionId });

export async function warn(installation: Installation, sessionId: string, warning: string): Promise<void> {
  await installation.catalog.sessions.update(sessionId, (session) =>
    session.warnings.includes(warning) ? session : { ...session, warnings: [...session.warnings, warning] },
  );
}
