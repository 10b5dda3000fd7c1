import { z } from 'zod';
import { Rows } from '../catalog/index.ts';
import type { Installation } from '../installation/index.ts';
import { DEFAULT_REPOSITORY, HoldfastError } from '../model/index.ts';
import { backupStateSchema } from './states/backup.ts';
import { policyRunStateSchema } from './states/policyRun.ts';
import { removalStateSchema, retentionStateSchema } from './states/removal.ts';
import {
  archiveStateSchema,
  checkStateSchema,
  collectionStateSchema,
  rescanStateSchema,
} from './states/repository.ts';
import { restoreStateSchema } from './states/restore.ts';
import {
  snapshotRemovalStateSchema,
  snapshotRescanStateSchema,
  snapshotRetentionStateSchema,
} from './states/snapshots.ts';

/**
 * What the steps of a session tell each other: too large for an orchestrator's history, and of no interest afterwards. One
 * row per session. Each step adds its part; a step that runs twice finds what its first run wrote.
 */
const stateSchema = z.union([
  backupStateSchema,
  restoreStateSchema,
  policyRunStateSchema,
  retentionStateSchema,
  checkStateSchema,
  collectionStateSchema,
  rescanStateSchema,
  removalStateSchema,
  snapshotRetentionStateSchema,
  snapshotRescanStateSchema,
  snapshotRemovalStateSchema,
  archiveStateSchema,
]);
type AnyState = z.infer<typeof stateSchema>;
export type SessionRequest = AnyState['request'];
type StateOf<K extends SessionRequest['kind']> = Extract<AnyState, { request: { kind: K } }>;

export type { Removed } from './states/removal.ts';
export type BackupState = StateOf<'backup'>;
export type PolicyRunState = StateOf<'policyRun'>;
export type RetentionState = StateOf<'retention'>;
export type PreparedSnapshots = NonNullable<BackupState['prepared']>;
export type OpenedBackup = NonNullable<BackupState['opened']>;
export type { GuestRun, Moment } from './states/backup.ts';
export type SnapshotSetState = NonNullable<BackupState['snapshots']>;
export type RestoreState = StateOf<'restore'>;

const ROW = 'state';
const rows = (installation: Installation) => new Rows<AnyState>(installation.states, stateSchema);

/** Keeps the request of a session. A second call with the same session leaves the first request standing. */
export async function createState(
  installation: Installation,
  sessionId: string,
  request: SessionRequest,
): Promise<void> {
  const state = stateSchema.parse({ request });
  const known = await rows(installation).get(sessionId, ROW);
  if (!known) await rows(installation).insert(sessionId, ROW, state);
}

export async function readState<K extends SessionRequest['kind']>(
  installation: Installation,
  sessionId: string,
  kind: K,
): Promise<StateOf<K>> {
  const found = await rows(installation).get(sessionId, ROW);
  return ofKind(found?.value, sessionId, kind);
}

export async function findState(installation: Installation, sessionId: string): Promise<AnyState | null> {
  return (await rows(installation).get(sessionId, ROW))?.value ?? null;
}

export async function updateState<K extends SessionRequest['kind']>(
  installation: Installation,
  sessionId: string,
  kind: K,
  mutate: (state: StateOf<K>) => StateOf<K>,
): Promise<StateOf<K>> {
  const next = await rows(installation).update(sessionId, ROW, (state) =>
    mutate(ofKind(state, sessionId, kind)),
  );
  return ofKind(next, sessionId, kind);
}

function ofKind<K extends SessionRequest['kind']>(
  state: AnyState | undefined,
  sessionId: string,
  kind: K,
): StateOf<K> {
  if (state?.request.kind === kind) return state as StateOf<K>;
  throw new HoldfastError('notFound', `Session ${sessionId} has no state of a ${kind}.`, {
    target: sessionId,
  });
}

/** A part of the state that an earlier step must have written. */
export function need<T>(part: T | null, what: string, sessionId: string): T {
  if (part !== null) return part;
  throw new HoldfastError(
    'internal',
    `Session ${sessionId}: ${what} is missing; an earlier step did not run.`,
    { target: sessionId },
  );
}

/** The worker pool of a session's jobs. Only sessions that move data have one. */
export async function poolOf(installation: Installation, sessionId: string): Promise<string> {
  const state = await findState(installation, sessionId);
  const opened = state && 'opened' in state ? state.opened : null;
  return need(opened, 'what was opened', sessionId).pool;
}

/** The name of the repository that a session works on. */
export async function repositoryOf(installation: Installation, sessionId: string): Promise<string> {
  const state = await findState(installation, sessionId);
  return state && 'repository' in state.request ? state.request.repository : DEFAULT_REPOSITORY;
}

/** Whether the app does the session's jobs itself. */
export async function readInline(installation: Installation, sessionId: string): Promise<boolean> {
  const state = await findState(installation, sessionId);
  return state !== null && 'inline' in state && state.inline === true;
}

/** The disks that a restore session makes; empty for other sessions, and before it was opened. */
export async function createdDisks(
  installation: Installation,
  sessionId: string,
): Promise<{ number: number; diskId: string }[]> {
  const state = await findState(installation, sessionId);
  if (state?.request.kind !== 'restore' || !('opened' in state)) return [];
  const { opened } = state as RestoreState;
  return (opened?.disks ?? []).map(({ number, targetId }) => ({ number, diskId: targetId }));
}
