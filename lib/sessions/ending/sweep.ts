import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type Session, toFailure } from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { sweepWorkers } from '../worker.ts';
import { endSession, releaseLeftovers } from './end.ts';

/** A session that gave no sign of life for this long is ended, whatever its instance says. */
const SILENT_MS = 30 * 60_000;
/** A session whose instance is missing may be about to be started: its row is written first. */
const STARTING_MS = 2 * 60_000;

export interface Swept {
  /** Sessions that were ended. */
  readonly ended: readonly string[];
  /** What could not be released now, with the reason: the next sweep tries again. */
  readonly left: readonly string[];
}

/**
 * Releases what belongs to no live session: sessions whose instance is terminal, missing or silent are ended, and what ended
 * ones could not give back is tried again. Nothing depends on orchestrator code having run; this is why.
 *
 * One session's trouble keeps no other from being swept.
 */
export async function sweep(installation: Installation, instances: Instances): Promise<Swept> {
  const { catalog, telemetry } = installation;
  const ended: string[] = [];
  const left: string[] = [];
  const attempt = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      left.push(`${what}: ${toFailure(error).message}`);
    }
  };
  const running = await catalog.sessions.running();
  for (const session of running) {
    await attempt(`session ${session.id}`, async () => {
      const why = await whyDead(installation, instances, session);
      if (why === null) return;
      const code = session.cancelRequested ? 'cancelled' : 'abandoned';
      const error = new HoldfastError(code, `Session ${session.id} was ended by the sweep: ${SAID[why]}.`, {
        target: session.id,
      });
      await endSession(installation, session.id, toFailure(error));
      ended.push(session.id);
      telemetry.event('holdfast.sweep.released', {
        sessionId: session.id,
        what: 'session',
        target: session.id,
        reason: why,
      });
    });
  }
  const live = new Set(running.map(({ id }) => id));
  for (const sessionId of await catalog.intents.sessions()) {
    if (live.has(sessionId)) continue;
    await attempt(`leftovers of session ${sessionId}`, async () => {
      await releaseLeftovers(installation, sessionId);
      await endSession(installation, sessionId, null);
    });
  }
  await attempt('workers', () => sweepWorkers(installation));
  return { ended, left };
}

type Death = 'terminal' | 'missing' | 'silent';

const SAID: Readonly<Record<Death, string>> = {
  terminal: 'its orchestration has ended',
  missing: 'its orchestration is missing',
  silent: 'it gave no sign of life for 30 minutes',
};

/** Why a session counts as dead; null while it lives. */
async function whyDead(
  { clock }: Installation,
  instances: Instances,
  session: Session,
): Promise<Death | null> {
  const now = clock.now().getTime();
  const state = await instances.state(session.instanceId);
  if (state === 'ended') return 'terminal';
  if (state === 'missing' && now - Date.parse(session.startedAt) >= STARTING_MS) return 'missing';
  if (now - Date.parse(session.touchedAt) >= SILENT_MS) return 'silent';
  return null;
}
