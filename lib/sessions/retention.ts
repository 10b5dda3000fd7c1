import { planPointRetention, planSnapshotRetention, type SnapshotRetentionFacts } from '../chain/index.ts';
import { type Installation, OWNER_TAG } from '../installation/index.ts';
import { type Machine, sessionId as newSessionId } from '../model/index.ts';
import { openChain, removePoint, takeOwnership } from '../repository/index.ts';
import { deleteSnapshot } from './deleteSnapshot.ts';
import { enterStep } from './live.ts';
import { type Looked, notYet, seen } from './look.ts';
import type { Instances } from './ports.ts';
import { startSession } from './requests.ts';
import { MACHINE_TAG, SESSION_TAG, SET_TAG } from './snapshotTags.ts';
import { readState, updateState } from './state.ts';

/** Snapshots and points that one look removes; the next look goes on. */
const STEP = 10;

/** Starts the retention of a machine after a backup of it: a session of its own, whose failure fails no backup. */
export async function startRetention(
  installation: Installation,
  instances: Instances,
  backupId: string,
): Promise<void> {
  const session = await installation.catalog.sessions.get(backupId);
  const { request, opened } = await readState(installation, backupId, 'backup');
  if (!opened || !session) return;
  await startSession(installation, instances, {
    // Of the backup's end, which is written once: asked again it is the same session, and it is listed after the backup.
    id: newSessionId(new Date(session.endedAt ?? session.startedAt), `retention/${backupId}`),
    orchestrator: 'applyRetention',
    reason: `after ${backupId}`,
    machine: request.machine,
    parentId: null,
    policyId: session.policyId,
    request: {
      kind: 'retention',
      machine: request.machine,
      chainId: opened.chainId,
      protection: request.protection,
    },
  });
}

export interface RetentionDone {
  readonly points: number;
  readonly snapshots: number;
}

/**
 * Removes what the policy no longer keeps of one machine: first restore points, whose data goes with the next collection,
 * then snapshots. Never the newest of either, and never the base of a next incremental.
 */
export async function applyRetention(
  installation: Installation,
  sessionId: string,
): Promise<Looked<RetentionDone>> {
  await enterStep(installation, sessionId, 'retention');
  const points = await removePoints(installation, sessionId);
  const snapshots = await removeSnapshots(installation, sessionId);
  const state = await updateState(installation, sessionId, 'retention', (current) => ({
    ...current,
    points: current.points + points,
    snapshots: current.snapshots + snapshots,
  }));
  if (points + snapshots > 0)
    return notYet(`${state.points} restore points and ${state.snapshots} snapshots removed so far`);
  return seen({ points: state.points, snapshots: state.snapshots });
}

async function removePoints(installation: Installation, sessionId: string): Promise<number> {
  const { catalog, clock, telemetry } = installation;
  const { request } = await readState(installation, sessionId, 'retention');
  const rows = await catalog.points.list(request.chainId);
  const plan = planPointRetention(
    rows.map(({ point }) => point),
    request.protection.retention.keep.daily?.points ?? 14,
  );
  const gone = plan.filter(({ keep }) => !keep).slice(-STEP);
  if (gone.length === 0) return 0;
  const repository = await installation.repository();
  // Another installation may have taken the repository over since it was opened: then its retention runs, not ours.
  await takeOwnership(repository, { installation: (await installation.identity()).id, now: clock.now() });
  const chain = await openChain(repository, request.chainId);
  for (const { item } of gone) {
    await removePoint(chain, { sequence: item.sequence, by: `retention ${sessionId}`, now: clock.now() });
    await catalog.points.markRemoved(chain.id, item.sequence, clock.now());
    telemetry.event('holdfast.restorePoint.removed', {
      sessionId,
      machineId: request.machine.id,
      sequence: item.sequence,
      reason: 'retention',
    });
  }
  return gone.length;
}

async function removeSnapshots(installation: Installation, sessionId: string): Promise<number> {
  const { request } = await readState(installation, sessionId, 'retention');
  const snapshots = await settledSnapshots(installation, request.machine);
  const bases = await installation.catalog.chains.protectedSnapshots();
  let removed = 0;
  for (const { item, keep } of planSnapshotRetention(
    snapshots,
    request.protection.snapshots.retention.keep.daily?.points ?? 2,
    bases,
  )) {
    if (keep || removed === STEP) continue;
    // One whose family is being read stays for the next run.
    if (await deleteSnapshot(installation, sessionId, item.id)) removed++;
  }
  return removed;
}

/** Our snapshots of the machine, without those of sessions that still run: those are nobody else's business. */
async function settledSnapshots(
  installation: Installation,
  machine: Machine,
): Promise<SnapshotRetentionFacts[]> {
  const { azure, catalog } = installation;
  const { id: owner } = await installation.identity();
  const running = new Set((await catalog.sessions.running()).map(({ id }) => id));
  const found: SnapshotRetentionFacts[] = [];
  const scope = { subscriptionId: machine.subscriptionId, resourceGroup: machine.resourceGroup };
  for await (const { id, tags, timeCreated } of azure.snapshots.list({
    ...scope,
    tag: { name: OWNER_TAG, value: owner },
  })) {
    const sessionId = tags[SESSION_TAG] ?? '';
    if (tags[MACHINE_TAG] !== machine.id || running.has(sessionId) || timeCreated === null) continue;
    found.push({ id, setId: `${sessionId}/${tags[SET_TAG]}`, takenAt: timeCreated });
  }
  return found;
}
