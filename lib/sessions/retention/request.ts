import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type Machine, sessionId as newSessionId, type Session } from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { startSession } from '../requests.ts';
import { findState, type Removed, readState } from '../state.ts';

/** Starts the retention of a machine after a backup of it: a session of its own, whose failure fails no backup. */
export async function startRetention(
  installation: Installation,
  instances: Instances,
  backupId: string,
): Promise<void> {
  const session = await installation.catalog.sessions.get(backupId);
  if (!session) return;
  const { request } = await readState(installation, backupId, 'backup');
  // Snapshots that a person asked for count for no rule.
  if (request.manual) return;
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
      machines: [request.machine.id],
      subscriptionId: request.machine.subscriptionId,
    },
  });
}

/**
 * Starts the retention of all machines that have restore points or snapshots, those that are gone included, or of one machine.
 *
 * @throws `previousRunning`, with the running session as target, while all are being looked at
 */
export async function requestRetention(
  installation: Installation,
  instances: Instances,
  machine: Pick<Machine, 'id' | 'name'> | null,
  reason: string,
): Promise<Session> {
  const running = (await installation.catalog.sessions.running()).find(
    ({ kind, machineId }) => kind === 'retention' && machineId === null,
  );
  if (running && machine === null) {
    throw new HoldfastError('previousRunning', `Retention is running as session ${running.id}.`, {
      target: running.id,
    });
  }
  return startSession(installation, instances, {
    id: newSessionId(installation.clock.now()),
    orchestrator: 'applyRetention',
    reason,
    machine,
    parentId: null,
    policyId: null,
    request: { kind: 'retention', machines: machine === null ? null : [machine.id], subscriptionId: null },
  });
}

/** What a retention session removed, and why; null for a session of another kind. */
export async function readRemoved(
  installation: Installation,
  sessionId: string,
): Promise<{ points: number; snapshots: number; changed: number; removed: readonly Removed[] } | null> {
  const state = await findState(installation, sessionId);
  if (state?.request.kind !== 'retention' || !('removed' in state) || typeof state.removed === 'number')
    return null;
  const { points, snapshots, changed, removed } = await readState(installation, sessionId, 'retention');
  return { points, snapshots, changed, removed };
}
