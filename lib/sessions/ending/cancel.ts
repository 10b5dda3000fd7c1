import type { Installation } from '../../installation/index.ts';
import type { Session } from '../../model/index.ts';

/**
 * Asks a session to stop, and those that it started. Every poll and every worker call reads the flag: within one poll the
 * session gives back what it holds, removes its snapshots and ends. One that has ended stays as it is. May be repeated.
 */
export async function askToStop(installation: Installation, sessionId: string): Promise<Session> {
  // First the one that starts others, so that it starts no more.
  const session = await installation.catalog.sessions.requestCancel(sessionId);
  await cancelChildren(installation, sessionId);
  return session;
}

/** Asks whatever a session started and still runs to stop: one that is cancelled, or gone. */
export async function cancelChildren(installation: Installation, sessionId: string): Promise<void> {
  for (const child of await runningChildren(installation, sessionId))
    if (!child.cancelRequested) await askToStop(installation, child.id);
}

export async function runningChildren(
  { catalog }: Installation,
  sessionId: string,
): Promise<readonly Session[]> {
  return (await catalog.sessions.children(sessionId)).filter(({ status }) => status === 'running');
}
