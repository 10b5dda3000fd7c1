import type { Installation } from '../../installation/index.ts';
import { HoldfastError, sessionId as newSessionId, type Session } from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { startSession } from '../requests.ts';
import type { SessionRequest } from '../state.ts';

export type MaintenanceRequest = Extract<SessionRequest, { kind: 'check' | 'collection' | 'rescan' }>;

const ORCHESTRATORS = {
  check: 'checkRepository',
  collection: 'collectGarbage',
  rescan: 'rescanRepository',
} as const;

/**
 * Starts work on the whole repository, as a session of its own. One of a kind at a time.
 *
 * @throws `previousRunning`, with the running session as target
 */
export async function requestMaintenance(
  installation: Installation,
  instances: Instances,
  request: MaintenanceRequest,
  reason: string,
): Promise<Session> {
  const running = (await installation.catalog.sessions.running()).find(({ kind }) => kind === request.kind);
  if (running) {
    throw new HoldfastError(
      'previousRunning',
      `A ${request.kind} of the repository is running as session ${running.id}.`,
      {
        target: running.id,
      },
    );
  }
  return startSession(installation, instances, {
    id: newSessionId(installation.clock.now()),
    orchestrator: ORCHESTRATORS[request.kind],
    reason,
    machine: null,
    parentId: null,
    policyId: null,
    request,
  });
}
