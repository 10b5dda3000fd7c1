import { z } from 'zod';
import {
  diskProgressSchema,
  machineSchema,
  policySchema,
  restorePointSchema,
  sessionSchema,
} from '../lib/model/index.ts';

/**
 * The shapes of the API's answers as this program reads them: the model, plus what the API derives. Loose: what a newer
 * service adds is kept and printed by `-o json`.
 */
const percent = z.number().min(0).max(100).nullable().optional();

export const machineAnswer = machineSchema
  .extend({ protectedBy: z.string().nullable(), lastRestorePointAt: z.string().nullable() })
  .loose();
export type MachineAnswer = z.infer<typeof machineAnswer>;

export const sessionAnswer = sessionSchema
  .extend({
    percent,
    disks: z.array(diskProgressSchema.extend({ percent }).loose()),
    createdDisks: z.array(z.object({ number: z.number().int(), diskId: z.string() }).loose()).optional(),
  })
  .loose();
export type SessionAnswer = z.infer<typeof sessionAnswer>;
export type DiskAnswer = SessionAnswer['disks'][number];

export const pointAnswer = restorePointSchema.loose();
export type PointAnswer = z.infer<typeof pointAnswer>;

export const policyAnswer = policySchema.loose();
export type PolicyAnswer = z.infer<typeof policyAnswer>;

/** What a start answers with: 202 and the session. */
export const startedAnswer = z.object({ id: z.string() }).loose();
export const repositoryAnswer = z
  .object({
    id: z.string(),
    mode: z.string(),
    owner: z.string().nullable(),
    slots: z.array(z.object({ id: z.string() }).loose()),
    meta: z.string(),
    data: z.string(),
  })
  .loose();
export type RepositoryAnswer = z.infer<typeof repositoryAnswer>;

/** What the dry run of a backup answers with: what would be read, and why so. */
export const backupPreviewAnswer = z
  .object({
    disks: z.array(z.object({ name: z.string(), sizeBytes: z.number(), plannedReason: z.string() }).loose()),
  })
  .loose();
export type DiskPreview = z.infer<typeof backupPreviewAnswer>['disks'][number];

/** What the dry run of a restore answers with: the restore point, and where its disks would be created. */
export const restorePreviewAnswer = z
  .object({ point: pointAnswer, resourceGroup: z.string(), location: z.string() })
  .loose();
