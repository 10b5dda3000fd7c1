import type { Installation } from '../../installation/index.ts';
import {
  DEFAULT_REPOSITORY,
  HoldfastError,
  sessionId as newSessionId,
  type Session,
} from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { startSession } from '../requests.ts';
import { repositoryOf, type SessionRequest } from '../state.ts';

type OfRepository = Extract<SessionRequest, { kind: 'check' | 'collection' | 'rescan' }>;
type Asked<T> = T extends OfRepository ? Omit<T, 'repository'> & { readonly repository?: string } : never;
/** Without a repository: the one of the settings. */
export type MaintenanceRequest = Asked<OfRepository>;

const ORCHESTRATORS = {
  check: 'checkRepository',
  collection: 'collectGarbage',
  rescan: 'rescanRepository',
} as const;

/**
 * Starts work on a whole repository, as a session of its own. One of a kind at a time in each.
 *
 * @throws `previousRunning`, with the running session as target
 */
export async function requestMaintenance(
  installation: Installation,
  instances: Instances,
  request: MaintenanceRequest,
  reason: string,
): Promise<Session> {
  const repository = request.repository ?? DEFAULT_REPOSITORY;
  // `notFound` before there is a session.
  await installation.repository(repository);
  for (const { id, kind } of await installation.catalog.sessions.running()) {
    if (kind !== request.kind || (await repositoryOf(installation, id)) !== repository) continue;
    throw new HoldfastError(
      'previousRunning',
      `A ${request.kind} of repository ${repository} is running as session ${id}.`,
      { target: id },
    );
  }
  return startSession(installation, instances, {
    id: newSessionId(installation.clock.now()),
    orchestrator: ORCHESTRATORS[request.kind],
    reason,
    machine: null,
    parentId: null,
    policyId: null,
    request: { ...request, repository },
  });
}
