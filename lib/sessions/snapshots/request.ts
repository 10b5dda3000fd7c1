import type { Installation } from '../../installation/index.ts';
import {
  HoldfastError,
  type Machine,
  sessionId as newSessionId,
  protectionSchema,
  type Session,
} from '../../model/index.ts';
import type { Instances } from '../ports.ts';
import { requestBackup, startSession } from '../requests.ts';
import type { SessionRequest } from '../state.ts';
import type { SnapshotSet } from './sets.ts';

type TendRequest = Extract<
  SessionRequest,
  { kind: 'snapshotRetention' | 'snapshotRescan' | 'snapshotRemoval' }
>;

/** After so many days a snapshot that nobody speaks for goes, unless it says itself that it stays longer. */
export const ORPHAN_DAYS = 30;

/** Starts work on all our snapshots, as a session of its own. `previousRunning`: one of a kind at a time. */
export async function requestTending(
  installation: Installation,
  instances: Instances,
  request: TendRequest,
  reason: string,
): Promise<Session> {
  const running = (await installation.catalog.sessions.running()).find(({ kind }) => kind === request.kind);
  if (running && request.kind !== 'snapshotRemoval') {
    throw new HoldfastError('previousRunning', `Session ${running.id} is at it already.`, {
      target: running.id,
    });
  }
  return startSession(installation, instances, {
    id: newSessionId(installation.clock.now()),
    orchestrator: 'tendSnapshots',
    reason,
    machine: null,
    parentId: null,
    policyId: null,
    request,
  });
}

export interface ManualSnapshots {
  readonly machines: readonly Machine[];
  /** Put on every snapshot. */
  readonly tags: Readonly<Record<string, string>>;
  readonly copyTags: boolean;
  /** In the machine's subscription; null: the machine's own group. */
  readonly resourceGroup: string | null;
  /** When they may be removed; null: not before a person does. */
  readonly expiresAt: string | null;
  readonly reason: string;
}

/** Takes snapshots of machines on request: a session each, outside chains and retention. */
export async function requestSnapshots(
  installation: Installation,
  instances: Instances,
  { machines, tags, copyTags, resourceGroup, expiresAt, reason }: ManualSnapshots,
): Promise<Session[]> {
  if (expiresAt !== null && Date.parse(expiresAt) <= installation.clock.now().getTime())
    throw new HoldfastError('invalidInput', `The expiry ${expiresAt} is over already.`, {
      target: 'expiresAt',
    });
  const protection = protectionSchema.parse({ snapshots: { tags, copyTags, resourceGroup } });
  const sessions: Session[] = [];
  for (const machine of machines) {
    sessions.push(
      await requestBackup(installation, instances, {
        machine,
        protection,
        makes: 'snapshot',
        flags: [],
        manual: true,
        expiresAt,
        reason,
        policyId: null,
        parentId: null,
      }),
    );
  }
  return sessions;
}

/**
 * Refuses to remove what a next incremental is read against, unless forced, and what a session is not done with.
 *
 * @throws `conflict`, saying what would follow
 */
export async function refuseRemoval(
  { catalog }: Installation,
  { name, sessionId, members }: SnapshotSet,
  force: boolean,
): Promise<void> {
  const busy = (await catalog.sessions.running()).some(({ id }) => id === sessionId);
  if (busy) {
    throw new HoldfastError('conflict', `Snapshot set ${name} is still in use by session ${sessionId}.`, {
      target: name,
    });
  }
  const bases = await catalog.chains.protectedSnapshots();
  if (force || !members.some(({ id }) => bases.has(id.toLowerCase()))) return;
  throw new HoldfastError(
    'conflict',
    `Snapshot set ${name} is the base of the next incremental backup of its machine: without it the disks are read whole once. Remove it with force.`,
    { target: name },
  );
}
