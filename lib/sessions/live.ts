import type { Installation } from '../installation/index.ts';
import { HoldfastError, type Session, type SessionPhase, setWaits, type WaitKind } from '../model/index.ts';

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

/** A sign of life of a step that is to be finished even when cancelling was asked for. */
export async function stayAlive({ catalog, clock }: Installation, sessionId: string): Promise<void> {
  const touchedAt = clock.now().toISOString();
  await catalog.sessions.update(sessionId, (current) =>
    current.status === 'running' ? { ...current, touchedAt } : current,
  );
}

export const cancelled = (sessionId: string): HoldfastError =>
  new HoldfastError('cancelled', `Session ${sessionId} was cancelled.`, { target: sessionId });

export async function warn(installation: Installation, sessionId: string, warning: string): Promise<void> {
  await installation.catalog.sessions.update(sessionId, (session) =>
    session.warnings.includes(warning) ? session : { ...session, warnings: [...session.warnings, warning] },
  );
}

/** Notes a fact for people that is no fault. */
export async function note(installation: Installation, sessionId: string, fact: string): Promise<void> {
  await installation.catalog.sessions.update(sessionId, (session) =>
    session.notes.includes(fact) ? session : { ...session, notes: [...session.notes, fact] },
  );
}

/**
 * Notes what the session waits for: of the reasons `among`, exactly `kinds`. The catalog counts the time. Called at every look;
 * it writes when something changed.
 */
export async function noteWaits(
  installation: Installation,
  sessionId: string,
  kinds: readonly WaitKind[],
  among: readonly WaitKind[],
): Promise<void> {
  await installation.catalog.sessions.update(sessionId, (session) => {
    const waits = setWaits(session.waits, kinds, among, installation.clock.now());
    return waits === session.waits ? session : { ...session, waits: [...waits] };
  });
}
