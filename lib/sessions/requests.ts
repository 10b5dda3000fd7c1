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
import { createState, findState, type SessionRequest } from './state.ts';

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
  const kind = kindOf(request);
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
    notes: [],
    phases: [],
    waits: [],
    throttling: [],
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

function kindOf(request: SessionRequest): SessionKind {
  if (request.kind === 'archive') return 'retention';
  return request.kind === 'backup' && request.makes === 'snapshot' ? 'snapshot' : request.kind;
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
  /** Repositories that get a copy of the point. */
  readonly copies?: readonly string[];
  /** The session whose snapshots are used. */
  readonly copyOf?: string;
  readonly reset?: boolean;
  /** The slot of its policy that it is for. */
  readonly slot?: Date;
  /** Snapshots that a person asked for, outside chains and retention. */
  readonly manual?: boolean;
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
      copies: [...(asked.copies ?? [])],
      copyOf: asked.copyOf ?? null,
      reset,
      manual: asked.manual ?? false,
      slot: asked.slot?.toISOString() ?? null,
    },
  });
}

/** `previousRunning`, with the running session as target, while a backup of the machine runs. */
export async function refuseWhileRunning(installation: Installation, machine: Machine): Promise<void> {
  const sessions = await installation.catalog.sessions.running();
  const mine = sessions.filter(({ kind, machineId }) => kind === 'backup' && machineId === machine.id);
  // A copy into another repository is nobody's obstacle.
  const copies = await Promise.all(mine.map(({ id }) => isCopy(installation, id)));
  const running = mine.find((_, i) => !copies[i]);
  if (!running) return;
  throw new HoldfastError(
    'previousRunning',
    `Machine ${machine.name} is being backed up by session ${running.id}; wait for it, or cancel it.`,
    {
      target: running.id,
    },
  );
}

async function isCopy(installation: Installation, sessionId: string): Promise<boolean> {
  const request = (await findState(installation, sessionId))?.request;
  return request?.kind === 'backup' && request.copyOf !== null;
}
