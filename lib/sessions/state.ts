import { z } from 'zod';
import type { Operation } from '../azure/index.ts';
import { Rows } from '../catalog/index.ts';
import type { Installation } from '../installation/index.ts';
import {
  chainIdSchema,
  consistencySchema,
  DEFAULT_REPOSITORY,
  diskSchema,
  flagSchema,
  HoldfastError,
  leftOutDiskSchema,
  machineConfigurationSchema,
  machineIdSchema,
  machineSchema,
  moverSchema,
  protectionSchema,
  readReasonSchema,
  repositoryIdSchema,
  sessionIdSchema,
} from '../model/index.ts';

/** The repository that a session works on. */
const inRepository = { repository: repositoryIdSchema.default(DEFAULT_REPOSITORY) };

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
  /** Further repositories that get a restore point from the same snapshots, once this one is committed. */
  copies: z.array(repositoryIdSchema).default([]),
  /** The session whose snapshots this one uses instead of taking some. */
  copyOf: sessionIdSchema.nullable().default(null),
  /** Read every disk whole, whatever CBT says. */
  reset: z.boolean(),
  /** The slot of its policy that it is for; null: asked for beside the schedule. */
  slot: z.iso.datetime().nullable().default(null),
  /** Asked for by a person: snapshots outside chains and retention, with an expiry if `expiresAt` says one. */
  manual: z.boolean().default(false),
});

/** The machine as it was looked at, and how its snapshots will be made. */
const preparedSchema = z.object({
  configuration: machineConfigurationSchema,
  /** What the snapshots' tags carry of it, sealed. */
  sealed: z.string(),
  disks: z.array(z.object({ number: z.number().int().nonnegative(), disk: diskSchema })),
  /** The machine's other disks. */
  leftOut: z.array(leftOutDiskSchema).default([]),
  /** Where the snapshots are made. */
  resourceGroup: z.string(),
  sku: z.enum(['Standard_LRS', 'Standard_ZRS']),
});

const openedBackupSchema = preparedSchema.extend({
  chainId: chainIdSchema,
  epoch: z.number().int().positive(),
  sequence: z.number().int().positive(),
  /** The newest committed restore point of the chain; null for the first. */
  parent: z.number().int().positive().nullable(),
  pool: z.string(),
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

/** A script in the guest. */
const guestRunSchema = z.object({
  startedAt: z.iso.datetime(),
  /** The operation that brings it to the agent. */
  operation: z.custom<Operation>().nullable(),
  /** False: no agent ever took it. */
  began: z.boolean(),
  ended: z.boolean(),
  /** Why it counts as failed; null: it did not fail, as far as known. */
  failure: z.string().nullable(),
});

/** A VM restore point that is tried, or was, in the place of snapshots. */
const momentSchema = z.object({
  set: z.number().int(),
  mode: z.enum(['application', 'machine']),
  collectionId: z.string(),
  operation: z.custom<Operation>().nullable(),
  startedAt: z.string(),
  /** Null while it is made. False: snapshots are taken instead. */
  taken: z.boolean().nullable(),
});

const backupStateSchema = z.object({
  request: backupRequestSchema,
  opened: openedBackupSchema.nullable().default(null),
  /** Of a session that makes snapshots alone, instead of `opened`: it has no chain. */
  prepared: preparedSchema.nullable().default(null),
  snapshots: snapshotSetSchema.nullable().default(null),
  /** By set and stage: `1-before`. */
  guest: z.record(z.string(), guestRunSchema).default({}),
  moment: momentSchema.nullable().default(null),
  reads: z.array(readSchema).nullable().default(null),
  /** Jobs that the app does itself; null until decided. */
  inline: z.boolean().nullable().default(null),
});

const restoreStateSchema = z.object({
  request: z.object({
    kind: z.literal('restore'),
    ...inRepository,
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
  request: z.object({
    kind: z.literal('policyRun'),
    policyId: z.string(),
    /** Null: on request, not for a slot. */
    slot: z.iso.datetime().nullable(),
    /** Only machines of this region; null: all. */
    region: z.string().nullable().default(null),
    /** The slot runs after its time, for itself and for slots before it. */
    late: z.boolean().default(false),
    makes: z.enum(['snapshot', 'backup']).default('backup'),
    flags: z.array(flagSchema).default(['daily']),
    backupFlags: z.array(flagSchema).default(['daily']),
  }),
  /** The machines in scope when the run was opened, and the sessions started for them, in the same order. */
  machines: z.array(machineSchema).nullable().default(null),
  children: z.array(z.string()).default([]),
});

const removedSchema = z.object({
  what: z.enum(['restorePoint', 'snapshot']),
  /** Of a restore point `<chain>/<sequence>`, of a snapshot its ARM id. */
  name: z.string(),
  machineId: z.string(),
  machineName: z.string(),
  takenAt: z.string(),
  /** Those that it still had, as letters. */
  flags: z.string(),
  why: z.string(),
});
export type Removed = z.infer<typeof removedSchema>;

const retentionStateSchema = z.object({
  request: z.object({
    kind: z.literal('retention'),
    /** Ids of the machines whose points and snapshots are looked at; null: all that there are. */
    machines: z.array(machineIdSchema).nullable(),
    /** Where their snapshots are; null: wherever the installation looks. */
    subscriptionId: z.string().nullable().default(null),
  }),
  /** Machines that are still to be looked at; null before the first look. */
  pending: z.array(machineIdSchema).nullable().default(null),
  points: z.number().int().default(0),
  snapshots: z.number().int().default(0),
  /** Points whose flags or rules were written anew. */
  changed: z.number().int().default(0),
  /** Points that no rule keeps and that are immutable, and the latest of their dates. */
  immutable: z.object({ points: z.number().int(), until: z.string() }).default({ points: 0, until: '' }),
  /** What was removed, and why; the first so many of it. */
  removed: z.array(removedSchema).default([]),
});

/** Verification of the repository: everything it holds by structure or content, or what was not looked at for longest. */
const checkStateSchema = z.object({
  request: z.object({
    kind: z.literal('check'),
    ...inRepository,
    depth: z.enum(['structure', 'content', 'rolling']),
    /** Of `rolling`: how long it may take. */
    budgetSeconds: z.number().int().positive(),
  }),
  findings: z.number().int().default(0),
  /** Chains with damage, and damaged later generations of packs: what is healed at the end. */
  toHeal: z.array(chainIdSchema).default([]),
  spoiled: z.array(z.string()).default([]),
});

const collectionStateSchema = z.object({
  request: z.object({ kind: z.literal('collection'), ...inRepository }),
  /** Chains that are still to be looked at; null before the first look. */
  chains: z.array(chainIdSchema).nullable().default(null),
  removed: z.number().int().default(0),
  bytes: z.number().default(0),
  compacted: z.number().int().default(0),
  /** Garbage that is immutable; it goes with a later collection. */
  locked: z.number().int().default(0),
});

const rescanStateSchema = z.object({
  request: z.object({
    kind: z.literal('rescan'),
    ...inRepository,
    /** Chains whose older state the operator accepts. */
    accept: z.array(z.string()),
  }),
});

const removalStateSchema = z.object({
  request: z.object({
    kind: z.literal('removal'),
    machineId: machineIdSchema,
    /** Names of restore points, or all of the machine. */
    points: z.union([z.enum(['none', 'all']), z.array(z.string())]),
    snapshots: z.enum(['none', 'all', 'policy', 'manual']),
    /** Only what was taken before. */
    before: z.iso.datetime(),
  }),
  /** What has to stay; it was said. */
  left: z.array(z.string()).default([]),
});

/** Of snapshots that no policy's retention looks at any more. */
const snapshotRetentionStateSchema = z.object({
  request: z.object({
    kind: z.literal('snapshotRetention'),
    /** How long snapshots stay that nobody speaks for. */
    orphanDays: z.number().int().positive(),
  }),
  /** Names of the sets that were looked at. */
  tried: z.array(z.string()).default([]),
  /** Snapshots that are gone. */
  removed: z.number().int().default(0),
});

const snapshotRescanStateSchema = z.object({
  request: z.object({ kind: z.literal('snapshotRescan') }),
  sets: z.number().int().default(0),
  /** Of machines that are gone. */
  orphanedSets: z.number().int().default(0),
  /** Chains that were taken up from what snapshots say. */
  chains: z.number().int().default(0),
});

const snapshotRemovalStateSchema = z.object({
  request: z.object({
    kind: z.literal('snapshotRemoval'),
    subscriptionIds: z.array(z.string()),
    /** Names of the sets to remove. */
    sets: z.array(z.string()),
  }),
  tried: z.array(z.string()).default([]),
  removed: z.number().int().default(0),
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
  removalStateSchema,
  snapshotRetentionStateSchema,
  snapshotRescanStateSchema,
  snapshotRemovalStateSchema,
  archiveStateSchema,
]);
type AnyState = z.infer<typeof stateSchema>;
export type SessionRequest = AnyState['request'];
type StateOf<K extends SessionRequest['kind']> = Extract<AnyState, { request: { kind: K } }>;

export type BackupState = StateOf<'backup'>;
export type PolicyRunState = StateOf<'policyRun'>;
export type RetentionState = StateOf<'retention'>;
export type PreparedSnapshots = NonNullable<BackupState['prepared']>;
export type OpenedBackup = NonNullable<BackupState['opened']>;
export type GuestRun = z.infer<typeof guestRunSchema>;
export type Moment = z.infer<typeof momentSchema>;
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
