import { z } from 'zod';
import { ERROR_CODES } from './errors.ts';
import { chainIdSchema, sessionIdSchema } from './ids.ts';
import { readReasonSchema } from './restorePoint.ts';
import { phaseTimeSchema, sessionPhaseSchema, throttlingSchema, waitTimeSchema } from './sessionTimes.ts';

export const sessionKindSchema = z.enum([
  'backup',
  /** Snapshots of one machine, without a restore point. */
  'snapshot',
  'restore',
  'policyRun',
  'retention',
  'check',
  'collection',
  'rescan',
  'removal',
  /** Snapshots that no policy's retention speaks of any more: invalid, obsolete, orphaned, expired. */
  'snapshotRetention',
  'snapshotRescan',
  'snapshotRemoval',
]);
export type SessionKind = z.infer<typeof sessionKindSchema>;

/** `running` is the only status that is not final. `skipped` did nothing, and its error says why. */
export const sessionStatusSchema = z.enum([
  'running',
  'succeeded',
  'warning',
  'failed',
  'cancelled',
  'skipped',
]);
export type SessionStatus = z.infer<typeof sessionStatusSchema>;

export const failureSchema = z.object({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  target: z.string().optional(),
  retryable: z.boolean(),
});

/** Progress of one disk within a session. Bytes; `percent` is derived by whoever shows it. */
export const diskProgressSchema = z.object({
  name: z.string(),
  number: z.number().int().nonnegative(),
  sizeBytes: z.number().int().nonnegative(),
  /** What is to be read (backup) or written (restore); null until planned. */
  plannedBytes: z.number().int().nonnegative().nullable(),
  doneBytes: z.number().int().nonnegative(),
  readBytes: z.number().int().nonnegative(),
  storedBytes: z.number().int().nonnegative(),
  readReason: readReasonSchema.nullable(),
});
export type DiskProgress = z.infer<typeof diskProgressSchema>;

export const sessionSchema = z.object({
  id: sessionIdSchema,
  kind: sessionKindSchema,
  status: sessionStatusSchema,
  phase: sessionPhaseSchema,
  /** The durable instance that runs it. */
  instanceId: z.string(),
  /** The policy run that started it. */
  parentId: sessionIdSchema.nullable(),
  policyId: z.string().nullable(),
  machineId: z.string().nullable(),
  machineName: z.string().nullable(),
  /** Who or what asked: `schedule`, `request`, a slot. */
  reason: z.string(),
  startedAt: z.iso.datetime(),
  /** Last sign of life: the sweep ends a session that has been silent for 30 minutes. */
  touchedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  cancelRequested: z.boolean(),
  restorePoint: z.object({ chainId: chainIdSchema, sequence: z.number().int().positive() }).nullable(),
  disks: z.array(diskProgressSchema),
  warnings: z.array(z.string()),
  /** What a person may want to know and is no fault: machines that belong to another policy, disks that were left out. */
  notes: z.array(z.string()).default([]),
  /** Where its time went: kept by the catalog whenever `phase` changes. */
  phases: z.array(phaseTimeSchema).default([]),
  /** What it waited for. */
  waits: z.array(waitTimeSchema).default([]),
  throttling: z.array(throttlingSchema).default([]),
  error: failureSchema.nullable(),
});
export type Session = z.infer<typeof sessionSchema>;
