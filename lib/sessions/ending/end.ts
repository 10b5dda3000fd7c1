import type { Installation } from '../../installation/index.ts';
import { type Failure, isHoldfastError, type Session, type SessionStatus } from '../../model/index.ts';
import { releaseLease } from '../../repository/index.ts';
import { sessionCompleted } from '../../telemetry/index.ts';
import { releaseAccess } from '../access.ts';
import { copiedSessions } from '../backup/copy.ts';
import { releaseGuest } from '../backup/guest.ts';
import { releaseRestorePoints } from '../backup/guestMoment.ts';
import { keepPromisedSnapshots } from '../backup/promised.ts';
import { settleNumber } from '../backup/settle.ts';
import { damagedObjects, noteDamage } from '../damage.ts';
import { removeDisk } from '../restore/disks.ts';
import { deleteSnapshot } from '../snapshots/delete.ts';
import { findState, poolOf, repositoryOf } from '../state.ts';
import { releaseWorker } from '../worker.ts';
import { cancelChildren } from './cancel.ts';

/** Codes with which a session has done nothing, and says so. */
const SKIPPED: ReadonlySet<Failure['code']> = new Set(['previousRunning', 'machineGone', 'notConfigured']);

/**
 * Ends a session: gives back whatever its intents still name, settles its number, frees the chain, and makes its row final.
 * Every step may be repeated, so a call that was cut off is made again: by the orchestration, or by the sweep.
 *
 * A step that cannot be finished now (a snapshot whose family is being read) leaves its intent; the sweep comes back to it
 * although the session has ended.
 */
export async function endSession(
  installation: Installation,
  sessionId: string,
  failure: Failure | null,
): Promise<void> {
  const session = await installation.catalog.sessions.get(sessionId);
  if (!session) return;
  const committed = await settleNumber(installation, sessionId);
  // A session that committed has succeeded, whatever became of the steps after it.
  const outcome = committed ? null : failure;
  // What a cancelled run has started ends with it, also what it started just before it read the flag.
  if (session.cancelRequested) await cancelChildren(installation, sessionId);
  if (session.status === 'running') await noteDamage(installation, sessionId, damagedObjects([outcome]));
  await cancelJobs(installation, sessionId);
  await releaseAccess(installation, sessionId);
  await keepPromisedSnapshots(installation, session, outcome);
  await releaseLeftovers(installation, sessionId);
  await freeChain(installation, sessionId);
  if (session.status === 'running') await close(installation, session, outcome);
}

/** Undoes what the session made and nobody else keeps account of. Called again by the sweep until nothing is left. */
export async function releaseLeftovers(installation: Installation, sessionId: string): Promise<void> {
  const { intents } = installation.catalog;
  await releaseGuest(installation, sessionId);
  await releaseRestorePoints(installation, sessionId);
  await releaseWorker(installation, sessionId);
  const snapshots = await intents.list(sessionId, 'snapshot');
  // Those that a copy reads stay until it is done; the sweep comes back to them.
  const copied = snapshots.length > 0 && (await copiedSessions(installation)).has(sessionId);
  for (const { key } of copied ? [] : snapshots) {
    if (await deleteSnapshot(installation, sessionId, key)) await intents.resolve(sessionId, 'snapshot', key);
  }
  for (const { key } of await intents.list(sessionId, 'lease')) {
    await releaseLease(await installation.repository(await repositoryOf(installation, sessionId)), key);
    await intents.resolve(sessionId, 'lease', key);
  }
  for (const { key } of await intents.list(sessionId, 'disk')) {
    if (await removeDisk(installation, key)) await intents.resolve(sessionId, 'disk', key);
  }
}

async function cancelJobs(installation: Installation, sessionId: string): Promise<void> {
  const state = await findState(installation, sessionId);
  if (!state || !('opened' in state) || !state.opened) return;
  await installation.queue.cancelJobs(await poolOf(installation, sessionId), sessionId);
}

async function freeChain({ catalog }: Installation, sessionId: string): Promise<void> {
  for (const { key, detail } of await catalog.intents.list(sessionId, 'chain')) {
    const chainKey = { repositoryId: String(detail['repositoryId']), machineId: String(detail['machineId']) };
    const chain = await catalog.chains.get(chainKey);
    if (chain?.holder?.sessionId === sessionId)
      await catalog.chains.release(chainKey, { sessionId, epoch: chain.epoch });
    await catalog.intents.resolve(sessionId, 'chain', key);
  }
}

async function close(installation: Installation, session: Session, failure: Failure | null): Promise<void> {
  const endedAt = installation.clock.now();
  if (failure === null) await coverSlot(installation, session);
  const ended = await installation.catalog.sessions.update(session.id, (current) => ({
    ...current,
    status: statusOf(current, failure),
    phase: 'done',
    endedAt: endedAt.toISOString(),
    touchedAt: endedAt.toISOString(),
    error: failure,
  }));
  if (ended.status === 'running' || ended.endedAt !== endedAt.toISOString()) return;
  const sum = (pick: (disk: Session['disks'][number]) => number) =>
    ended.disks.reduce((total, disk) => total + pick(disk), 0);
  sessionCompleted(installation.telemetry, {
    sessionId: ended.id,
    kind: ended.kind,
    outcome: ended.status,
    readReasons: [
      ...new Set(ended.disks.flatMap(({ readReason }) => (readReason === null ? [] : [readReason]))),
    ],
    bytesRead: sum(({ readBytes }) => readBytes),
    bytesStored: sum(({ storedBytes }) => storedBytes),
    durationSeconds: (endedAt.getTime() - Date.parse(ended.startedAt)) / 1000,
    ...(ended.machineId === null ? {} : { machineId: ended.machineId }),
    ...(ended.policyId === null ? {} : { policyId: ended.policyId }),
    ...(failure === null ? {} : { errorCode: failure.code }),
  });
  tellWaits(installation, ended);
  if (ended.kind === 'policyRun') await endSlot(installation, ended);
}

function tellWaits({ telemetry }: Installation, { kind, waits, throttling }: Session): void {
  for (const wait of waits)
    telemetry.metric('holdfast.session.waited', wait.seconds, { kind, wait: wait.kind });
  const throttled = throttling.reduce((sum, { seconds }) => sum + seconds, 0);
  if (throttled > 0) telemetry.metric('holdfast.session.waited', throttled, { kind, wait: 'throttling' });
}

function statusOf(session: Session, failure: Failure | null): Exclude<SessionStatus, 'running'> {
  if (failure === null) return session.warnings.length > 0 ? 'warning' : 'succeeded';
  if (failure.code === 'cancelled') return 'cancelled';
  return SKIPPED.has(failure.code) ? 'skipped' : 'failed';
}

/** The machine has what its slot wanted; what fails from now on owes the flags of later slots only. */
async function coverSlot(installation: Installation, session: Session): Promise<void> {
  const { id, policyId, machineId } = session;
  const state = policyId === null ? null : await findState(installation, id);
  if (policyId === null || machineId === null || state?.request.kind !== 'backup') return;
  const { slot, makes } = state.request;
  if (slot !== null) await installation.catalog.slots.cover(policyId, machineId, new Date(slot), makes);
}

async function endSlot(installation: Installation, session: Session): Promise<void> {
  const state = await findState(installation, session.id);
  if (state?.request.kind !== 'policyRun' || state.request.slot === null) return;
  try {
    await installation.catalog.slots.advance(state.request, new Date(state.request.slot), 'done');
  } catch (error) {
    if (!isHoldfastError(error, 'notFound')) throw error;
  }
}
