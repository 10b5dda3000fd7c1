import { z } from 'zod';
import { ERROR_CODES } from './errors.ts';
import { chainIdSchema, sessionIdSchema } from './ids.ts';
import { readReasonSchema } from './restorePoint.ts';

export const sessionKindSchema = z.enum([
  'backup',
  'restore',
  'policyRun',
  'retention',
  'check',
  'collection',
  'rescan',
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

export const sessionPhaseSchema = z.enum([
  'starting',
  'snapshot',
  'worker',
  'plan',
  'move',
  'commit',
  'create',
  'restore',
  'retention',
  'machines',
  'check',
  'collect',
  'rescan',
  'release',
  'done',
]);
export type SessionPhase = z.infer<typeof sessionPhaseSchema>;

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
  error: failureSchema.nullable(),
});
export type Session = z.infer<typeof sessionSchema>;
