import type { Installation } from '../../installation/index.ts';
import { isHoldfastError, type Session } from '../../model/index.ts';
import { poolOf } from '../state.ts';

const DAY_MS = 86_400_000;
const SIDE_BY_SIDE = 16;
/** Slots are looked back at for a policy's compliance: twelve weeks, whatever becomes of sessions. */
const SLOT_DAYS = 92;

export interface Forgotten {
  readonly sessions: number;
  readonly slots: number;
  /** Nothing that is due is left. */
  readonly complete: boolean;
}

/**
 * Forgets sessions that ended longer ago than the installation keeps them, with their states and jobs, oldest first, and slots
 * of that time. Restore points stand by themselves: they name their session, and need nothing of it. What runs stays, and
 * what still has something to give back.
 *
 * @param budgetMs after this it stops; the next call goes on
 */
export async function forgetSessions(installation: Installation, budgetMs: number): Promise<Forgotten> {
  const { catalog, clock, settings } = installation;
  const days = settings.HOLDFAST_SESSION_DAYS;
  if (days === 0) return { sessions: 0, slots: 0, complete: true };
  const now = clock.now().getTime();
  const inTime = () => clock.now().getTime() - now < budgetMs;
  const before = new Date(now - days * DAY_MS);
  const owing = new Set(await catalog.intents.sessions());
  let forgotten = 0;
  let batch: Session[] = [];
  const flush = async () => {
    const done = await Promise.all(batch.map((session) => forget(installation, session)));
    forgotten += done.filter(Boolean).length;
    batch = [];
  };
  for await (const session of catalog.sessions.between(null, before)) {
    const since = session.endedAt ?? session.touchedAt;
    if (session.status === 'running' || Date.parse(since) >= before.getTime() || owing.has(session.id))
      continue;
    batch.push(session);
    if (batch.length === SIDE_BY_SIDE) await flush();
    if (!inTime()) return { sessions: forgotten, slots: 0, complete: false };
  }
  await flush();
  const slots = await catalog.slots.forget(new Date(now - Math.max(days, SLOT_DAYS) * DAY_MS), inTime);
  return { sessions: forgotten, slots, complete: inTime() };
}

/** The session's row last: while it is there, what belongs to it is found. */
async function forget(installation: Installation, { id }: Session): Promise<boolean> {
  const { catalog, queue, states } = installation;
  try {
    await queue.removeJobs(await poolOf(installation, id), id);
  } catch (error) {
    // Sessions without jobs have no pool.
    if (!isHoldfastError(error, 'internal') && !isHoldfastError(error, 'notFound')) throw error;
  }
  for await (const { partition, row, etag } of states.query({ partition: id }))
    await states.remove(partition, row, etag);
  return catalog.sessions.forget(id);
}
