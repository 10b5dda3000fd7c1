import { z } from 'zod';
import { Rows } from '../catalog/index.ts';
import type { Installation } from '../installation/index.ts';
import {
  chainIdSchema,
  consistencySchema,
  diskSchema,
  flagSchema,
  HoldfastError,
  machineConfigurationSchema,
  machineSchema,
  moverSchema,
  protectionSchema,
  readReasonSchema,
  repositoryIdSchema,
} from '../model/index.ts';

/**
 * What the steps of a session tell each other: too large for an orchestrator's history, and of no interest afterwards. One
 * row per session. Each step adds its part; a step that runs twice finds what its first run wrote.
 */
const backupRequestSchema = z.object({
  kind: z.literal('backup'),
  machine: machineSchema,
  protection: protectionSchema,
  /** `snapshot`: no restore point is made. */
  makes: z.enum(['snapshot', 'backup']),
  /** Of the snapshots, ... */
  flags: z.array(flagSchema),
  /** ... and of the restore point. */
  backupFlags: z.array(flagSchema),
  /** Of a backup on demand: kept until then, whatever the flags say. */
  expiresAt: z.iso.datetime().nullable(),
  repository: repositoryIdSchema,
  /** Read every disk whole, whatever CBT says. */
  reset: z.boolean(),
});

const openedBackupSchema = z.object({
  chainId: chainIdSchema,
  epoch: z.number().int().positive(),
  sequence: z.number().int().positive(),
  /** The newest committed restore point of the chain; null for the first. */
  parent: z.number().int().positive().nullable(),
  pool: z.string(),
  configuration: machineConfigurationSchema,
  /** The configuration, sealed for the tags. */
  sealed: z.string(),
  disks: z.array(z.object({ number: z.number().int().nonnegative(), disk: diskSchema })),
});

const snapshotSetSchema = z.object({
  set: z.number().int(),
  consistency: consistencySchema,
  /** ISO 8601: the earliest of the set. */
  takenAt: z.string(),
  disks: z.array(
    z.object({
      number: z.number().int().nonnegative(),
      id: z.string(),
      familyId: z.string(),
      sourceUniqueId: z.string(),
      sizeBytes: z.number().int().positive(),
      takenAt: z.string(),
    }),
  ),
});

const readSchema = z.object({
  number: z.number().int().nonnegative(),
  readReason: readReasonSchema,
  base: z.object({ id: z.string(), familyId: z.string() }).nullable(),
});

const backupStateSchema = z.object({
  request: backupRequestSchema,
  opened: openedBackupSchema.nullable().default(null),
  snapshots: snapshotSetSchema.nullable().default(null),
  reads: z.array(readSchema).nullable().default(null),
  /** Jobs that the app does itself; null until decided. */
  inline: z.boolean().nullable().default(null),
});

const restoreStateSchema = z.object({
  request: z.object({
    kind: z.literal('restore'),
    chainId: chainIdSchema,
    sequence: z.number().int().positive(),
    /** Numbers in the chain; null for all. */
    disks: z.array(z.number().int().nonnegative()).nullable(),
    subscriptionId: z.string(),
    resourceGroup: z.string(),
    location: z.string(),
    namePrefix: z.string(),
    mover: moverSchema,
  }),
  opened: z
    .object({
      pool: z.string(),
      /** Keeps collection away from the point while it is read. */
      lease: z.string(),
      disks: z.array(
        z.object({
          number: z.number().int().nonnegative(),
          name: z.string(),
          sizeBytes: z.number().int().positive(),
          targetId: z.string(),
          source: diskSchema,
        }),
      ),
    })
    .nullable()
    .default(null),
  inline: z.boolean().nullable().default(null),
});

const policyRunStateSchema = z.object({
  request: z.object({ kind: z.literal('policyRun'), policyId: z.string(), slot: z.string().nullable() }),
  /** The machines in scope when the run was opened, and the sessions started for them, in the same order. */
  machines: z.array(machineSchema).nullable().default(null),
  children: z.array(z.string()).default([]),
});

const retentionStateSchema = z.object({
  request: z.object({
    kind: z.literal('retention'),
    machine: machineSchema,
    chainId: chainIdSchema,
    protection: protectionSchema,
  }),
  points: z.number().int().default(0),
  snapshots: z.number().int().default(0),
});

/** Verification of the repository: everything it holds by structure or content, or what was not looked at for longest. */
const checkStateSchema = z.object({
  request: z.object({
    kind: z.literal('check'),
    depth: z.enum(['structure', 'content', 'rolling']),
    /** Of `rolling`: how long it may take. */
    budgetSeconds: z.number().int().positive(),
  }),
  findings: z.number().int().default(0),
});

const collectionStateSchema = z.object({
  request: z.object({ kind: z.literal('collection') }),
  /** Chains that are still to be looked at; null before the first look. */
  chains: z.array(chainIdSchema).nullable().default(null),
  removed: z.number().int().default(0),
  bytes: z.number().default(0),
  compacted: z.number().int().default(0),
});

const rescanStateSchema = z.object({
  request: z.object({
    kind: z.literal('rescan'),
    /** Chains whose older state the operator accepts. */
    accept: z.array(z.string()),
  }),
});

const archiveStateSchema = z.object({
  request: z.object({ kind: z.literal('archive'), machineId: z.string() }),
});

const stateSchema = z.union([
  backupStateSchema,
  restoreStateSchema,
  policyRunStateSchema,
  retentionStateSchema,
  checkStateSchema,
  collectionStateSchema,
  rescanStateSchema,
  archiveStateSchema,
]);
type AnyState = z.infer<typeof stateSchema>;
export type SessionRequest = AnyState['request'];
type StateOf<K extends SessionRequest['kind']> = Extract<AnyState, { request: { kind: K } }>;

export type BackupState = StateOf<'backup'>;
export type OpenedBackup = NonNullable<BackupState['opened']>;
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
