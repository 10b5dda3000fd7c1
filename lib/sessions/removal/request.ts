import type { Installation } from '../../installation/index.ts';
import { HoldfastError, sessionId as newSessionId, type Session } from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { startSession } from '../requests.ts';
import { planRemoval, type RemovalAsked } from './plan.ts';

/**
 * Starts a removal. What is named must go, all of it; of what is only meant by `all`, what is held or immutable stays, and the
 * session says so.
 *
 * @throws `locked` when a restore point that is named is held or immutable, with the date; `notFound` when there is nothing
 */
export async function requestRemoval(
  installation: Installation,
  instances: Instances,
  asked: Omit<RemovalAsked, 'before'>,
  reason: string,
): Promise<Session> {
  const now = installation.clock.now();
  const request = { ...asked, before: now.toISOString() };
  const { points, snapshots } = await planRemoval(installation, request);
  const refused = points.find(({ verdict }) => verdict !== 'goes');
  if (asked.points !== 'all' && refused) {
    throw new HoldfastError(
      'locked',
      `Restore point ${refused.name} of ${refused.machineName} cannot be removed: ${refused.why}.`,
      { target: refused.name },
    );
  }
  if (points.length + snapshots.length === 0) {
    throw new HoldfastError('notFound', `Machine ${asked.machineId} has nothing of what is to be removed.`, {
      target: asked.machineId,
    });
  }
  const name = points[0]?.machineName ?? (await nameOf(installation, asked.machineId));
  return startSession(installation, instances, {
    id: newSessionId(now),
    orchestrator: 'removeData',
    reason,
    machine: { id: asked.machineId, name },
    parentId: null,
    policyId: null,
    request: {
      kind: 'removal',
      ...request,
      points: typeof request.points === 'string' ? request.points : [...request.points],
    },
  });
}

async function nameOf({ catalog }: Installation, machineId: string): Promise<string> {
  const { sessions } = await catalog.sessions.list({ machineId, limit: 1 });
  return sessions[0]?.machineName ?? machineId;
}
