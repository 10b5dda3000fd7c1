import type { Installation } from '../installation/index.ts';
import { type Machine, sessionId as newSessionId, type Session } from '../model/index.ts';
import type { Instances } from './ports.ts';
import { startSession } from './requests.ts';

/** Starts an archive session. No archive repository can be configured yet, and the session says so. */
export function requestArchive(
  installation: Installation,
  instances: Instances,
  machine: Machine,
): Promise<Session> {
  return startSession(installation, instances, {
    id: newSessionId(installation.clock.now()),
    orchestrator: 'archiveMachine',
    reason: 'request',
    machine,
    parentId: null,
    policyId: null,
    request: { kind: 'archive', machineId: machine.id },
  });
}
