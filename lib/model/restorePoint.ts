import { z } from 'zod';
import { chainIdSchema, machineIdSchema, sessionIdSchema } from './ids.ts';

/**
 * Why a disk was read as it was. `changedBlocks` is the normal incremental; each other word is the reason for a whole read
 * (architecture.md, "Changed block tracking"). `diffFailed` carries the service's code.
 */
export const readReasonSchema = z.union([
  z.enum([
    'changedBlocks',
    'first',
    'baseMissing',
    'otherFamily',
    'resizedAcross4TB',
    'cbtOff',
    'reset',
    'sampleMismatch',
    'scheduled',
  ]),
  z.templateLiteral(['diffFailed:', z.string()]),
]);
export type ReadReason = z.infer<typeof readReasonSchema>;

/**
 * `atomic`: one moment for all disks. `perDisk`: each disk at its own moment. `application`: one moment, and before it the guest
 * was asked: the writers of Windows (VSS), the file systems of Linux.
 */
export const consistencySchema = z.enum(['atomic', 'perDisk', 'application']);
export type Consistency = z.infer<typeof consistencySchema>;

/** One disk of a restore point. Sizes in bytes. */
export const restorePointDiskSchema = z.object({
  /** Number in the chain; belongs to the disk's `uniqueId`. */
  number: z.number().int().nonnegative(),
  uniqueId: z.string(),
  name: z.string(),
  role: z.enum(['os', 'data']),
  lun: z.number().int().nullable(),
  sizeBytes: z.number().int().positive(),
  /** Bytes of the blocks that the restore point holds. */
  allocatedBytes: z.number().int().nonnegative(),
  /** Bytes read from the snapshot for this restore point, CBT samples included. */
  readBytes: z.number().int().nonnegative(),
  /** Bytes written to the repository for this disk: packs and map objects. */
  storedBytes: z.number().int().nonnegative(),
  readReason: readReasonSchema,
  snapshotId: z.string(),
  snapshotFamilyId: z.string(),
});
export type RestorePointDisk = z.infer<typeof restorePointDiskSchema>;

/** A disk of the machine that a restore point does not hold. */
export const leftOutDiskSchema = z.object({
  uniqueId: z.string(),
  name: z.string(),
  role: z.enum(['os', 'data']),
  lun: z.number().int().nullable(),
  sizeBytes: z.number().int().nonnegative(),
  /** For a person: which rule, or what of the disk, left it out. */
  why: z.string(),
});
export type LeftOutDisk = z.infer<typeof leftOutDiskSchema>;

/** What the catalog and the API show of a committed restore point. */
export const restorePointSchema = z.object({
  chainId: chainIdSchema,
  sequence: z.number().int().positive(),
  machineId: machineIdSchema,
  machineName: z.string(),
  sessionId: sessionIdSchema,
  /**
   * Derived: `full` when the chain had none of its disks before. Else `incremental`, also when disks were read whole: only
   * what had changed was stored. Nothing depends on it.
   */
  kind: z.enum(['full', 'incremental']),
  consistency: consistencySchema,
  /** When the snapshots were taken, and when the manifest was created. ISO 8601, UTC. */
  takenAt: z.iso.datetime(),
  committedAt: z.iso.datetime(),
  disks: z.array(restorePointDiskSchema),
  /** Absent: the machine had no other disks. */
  leftOut: z.array(leftOutDiskSchema).optional(),
});
export type RestorePoint = z.infer<typeof restorePointSchema>;

/** The name people use for a restore point: `<chain>/<sequence>`. */
export const restorePointName = (point: { chainId: string; sequence: number }): string =>
  `${point.chainId}/${point.sequence}`;
