/** The state of a backup, or of snapshots alone: see state.ts. */
import { z } from 'zod';
import type { Operation } from '../../azure/index.ts';
import {
  chainIdSchema,
  consistencySchema,
  diskSchema,
  flagSchema,
  leftOutDiskSchema,
  machineConfigurationSchema,
  machineSchema,
  protectionSchema,
  readReasonSchema,
  repositoryIdSchema,
  sessionIdSchema,
} from '../../model/index.ts';

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
export type GuestRun = z.infer<typeof guestRunSchema>;

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
export type Moment = z.infer<typeof momentSchema>;

export const backupStateSchema = z.object({
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
