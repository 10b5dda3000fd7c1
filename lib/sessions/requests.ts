import type { Installation } from '../installation/index.ts';
import {
  DEFAULT_REPOSITORY,
  type Flag,
  HoldfastError,
  type Machine,
  sessionId as newSessionId,
  type Protection,
  type Session,
  type SessionKind,
} from '../model/index.ts';
import type { Instances, OrchestratorName } from './ports.ts';
import { createState, type SessionRequest } from './state.ts';

export interface StartSession {
  readonly id: string;
  readonly orchestrator: OrchestratorName;
  readonly reason: string;
  /** The machine that it is about, if it is about one. */
  readonly machine: Pick<Machine, 'id' | 'name'> | null;
  readonly parentId: string | null;
  readonly policyId: string | null;
  readonly request: SessionRequest;
}

/**
 * Starts a session: its request and its row first, then its instance. Started twice it is one session; a start that was cut
 * off before the instance leaves a row that the sweep ends.
 */
export async function startSession(
  installation: Installation,
  instances: Instances,
  start: StartSession,
): Promise<Session> {
  const { catalog, clock, settings, telemetry } = installation;
  const { id, request, machine } = start;
  const kind: SessionKind = request.kind === 'archive' ? 'retention' : request.kind;
  const now = clock.now().toISOString();
  const session: Session = {
    id,
    kind,
    status: 'running',
    phase: 'starting',
    instanceId: `${request.kind}-${id}`,
    parentId: start.parentId,
    policyId: start.policyId,
    machineId: machine?.id ?? null,
    machineName: machine?.name ?? null,
    reason: start.reason,
    startedAt: now,
    touchedAt: now,
    endedAt: null,
    cancelRequested: false,
    restorePoint: null,
    disks: [],
    warnings: [],
    error: null,
  };
  await createState(installation, id, request);
  const created = await catalog.sessions.create(session);
  const current = created ? session : ((await catalog.sessions.get(id)) ?? session);
  if (created) {
    telemetry.event('holdfast.session.started', {
      sessionId: id,
      kind,
      ...(machine ? { machineId: machine.id } : {}),
      ...(start.policyId === null ? {} : { policyId: start.policyId }),
    });
  }
  if (current.status === 'running') {
    await instances.start(start.orchestrator, current.instanceId, {
      sessionId: id,
      pollSeconds: settings.HOLDFAST_POLL_SECONDS,
    });
  }
  return current;
}

export interface BackupRequest {
  readonly machine: Machine;
  readonly protection: Protection;
  /** Default: a restore point that carries the flag `daily`. */
  readonly makes?: 'snapshot' | 'backup';
  readonly flags?: readonly Flag[];
  readonly backupFlags?: readonly Flag[];
  readonly expiresAt?: string | null;
  readonly repository?: string;
  readonly reset?: boolean;
  readonly reason: string;
  readonly policyId: string | null;
  readonly parentId: string | null;
  /** The same seed asks for the same session. */
  readonly seed?: string;
  readonly at?: Date;
}

export function requestBackup(
  installation: Installation,
  instances: Instances,
  asked: BackupRequest,
): Promise<Session> {
  const { machine, protection, reset = false, reason, policyId, parentId } = asked;
  const { makes = 'backup', flags = ['daily'], backupFlags = flags } = asked;
  return startSession(installation, instances, {
    id: newSessionId(asked.at ?? installation.clock.now(), asked.seed),
    orchestrator: 'backUpMachine',
    reason,
    machine,
    parentId,
    policyId,
    request: {
      kind: 'backup',
      machine,
      protection,
      makes,
      flags: [...flags],
      backupFlags: makes === 'backup' ? [...backupFlags] : [],
      expiresAt: asked.expiresAt ?? null,
      repository: asked.repository ?? DEFAULT_REPOSITORY,
      reset,
    },
  });
}

/** `previousRunning`, with the running session as target, while a backup of the machine runs. */
export async function refuseWhileRunning({ catalog }: Installation, machine: Machine): Promise<void> {
  const running = (await catalog.sessions.running()).find(
    ({ kind, machineId }) => kind === 'backup' && machineId === machine.id,
  );
  if (!running) return;
  throw new HoldfastError(
    'previousRunning',
    `Machine ${machine.name} is being backed up by session ${running.id}; wait for it, or cancel it.`,
    {
      target: running.id,
    },
  );
}
