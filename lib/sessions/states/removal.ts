/** The state of retention, and of a removal that a person asked for: see state.ts. */
import { z } from 'zod';
import { machineIdSchema } from '../../model/index.ts';

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

export const retentionStateSchema = z.object({
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

export const removalStateSchema = z.object({
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
