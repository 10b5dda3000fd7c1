import { z } from 'zod';
import { calendarSchema, flagSchema, slaTemplateSchema } from './calendar.ts';
import { policyIdSchema } from './ids.ts';
import { retentionRulesSchema, snapshotRulesSchema } from './retentionRules.ts';
import { scopeSchema } from './scope.ts';

export const moverSchema = z.enum(['worker', 'inline', 'auto']);
export type Mover = z.infer<typeof moverSchema>;

/** Name of a repository in the installation. */
export const repositoryIdSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/, 'wants 1 to 32 characters of a-z, 0-9 and -');
/** The repository that the settings name. */
export const DEFAULT_REPOSITORY = 'default';

/** Tags that people put on snapshots. Names that begin with `holdfast-` are the product's own. */
export const snapshotTagsSchema = z.record(
  z
    .string()
    .min(1)
    .max(512)
    .regex(/^(?!holdfast-)/i, 'a name that does not begin with holdfast-'),
  z.string().max(256),
);

/** How snapshots are made, and how long they stay beside the restore points. */
export const snapshotOptionsSchema = z.strictObject({
  retention: snapshotRulesSchema.prefault({ keep: { daily: { points: 2 } } }),
  /** Tags of the source disks are put on the snapshots too. */
  copyTags: z.boolean().default(false),
  tags: snapshotTagsSchema.default({}),
  /** In the machine's subscription; null: the machine's own group. */
  resourceGroup: z.string().min(1).max(90).nullable().default(null),
  /** `auto`: zone-redundant where the region has zones. */
  redundancy: z.enum(['auto', 'zoneRedundant', 'locallyRedundant']).default('auto'),
});
export type SnapshotOptions = z.infer<typeof snapshotOptionsSchema>;

/** Changed block tracking. Off: every disk is read whole each time, and no snapshot is kept as a base. */
export const changedBlocksSchema = z.strictObject({
  enabled: z.boolean().default(true),
  /** A disk whose last whole read is older is read whole again; null: never for this reason. */
  wholeReadEveryDays: z.number().int().positive().nullable().default(null),
  /** Each machine's next backup after this moment reads its disks whole. */
  resetAt: z.iso.datetime().nullable().default(null),
});
export type ChangedBlocks = z.infer<typeof changedBlocksSchema>;

/** Of failed machines of a scheduled run; a run on request is not tried again. */
export const retrySchema = z.strictObject({
  attempts: z.number().int().min(0).max(10).default(3),
  waitMinutes: z.number().int().min(1).max(120).default(10),
});

/** Commands that run in the guest, by Run Command. `%machine%`, `%policy%` and `%session%` stand for their names. */
export const guestScriptsSchema = z.strictObject({
  before: z.string().max(16_384).nullable().default(null),
  after: z.string().max(16_384).nullable().default(null),
  timeoutMinutes: z.number().int().min(1).max(60).default(10),
  /** What a script that fails does: `stop` fails the machine's backup, `continue` warns. */
  ifItFails: z.enum(['stop', 'continue']).default('stop'),
});
export type GuestScripts = z.infer<typeof guestScriptsSchema>;

export const consistencyOptionsSchema = z.strictObject({
  /**
   * `crash`: disk snapshots. `machine`: a VM restore point, so that all disks share one moment. `application`: the same, with the guest's
   * writers (VSS) asked first. What a machine cannot do falls back to the one before, with a warning.
   */
  mode: z.enum(['crash', 'machine', 'application']).default('crash'),
  scripts: z
    .strictObject({ linux: guestScriptsSchema.optional(), windows: guestScriptsSchema.optional() })
    .prefault({}),
});
export type ConsistencyOptions = z.infer<typeof consistencyOptionsSchema>;

/** Where backups go: the repository of the flag, else of the machine's region, else `repository`. */
export const storageSchema = z.strictObject({
  repository: repositoryIdSchema.default(DEFAULT_REPOSITORY),
  regions: z.record(z.string().min(1), repositoryIdSchema).default({}),
  flags: z.partialRecord(flagSchema, repositoryIdSchema).default({}),
  /** Repositories that get a restore point of their own from the same snapshots. */
  copies: z.array(repositoryIdSchema).max(4).default([]),
});
export type Storage = z.infer<typeof storageSchema>;

const shape = {
  schemaVersion: z.literal(2).default(2),
  id: policyIdSchema,
  description: z.string().max(1000).default(''),
  enabled: z.boolean().default(true),
  /**
   * A machine that several enabled policies name belongs to one: those with an SLA come first, then the smaller number, then
   * the id that sorts first.
   */
  priority: z.number().int().min(1).max(1000).default(500),
  scope: scopeSchema,
  /** When. Neither `calendar` nor `sla`: on request only. */
  calendar: calendarSchema.nullable().default(null),
  sla: slaTemplateSchema.nullable().default(null),
  retention: retentionRulesSchema.prefault({ keep: { daily: { points: 14 } } }),
  snapshots: snapshotOptionsSchema.prefault({}),
  changedBlocks: changedBlocksSchema.prefault({}),
  consistency: consistencyOptionsSchema.prefault({}),
  storage: storageSchema.prefault({}),
  retry: retrySchema.prefault({}),
  /** Who moves the data: a worker VM, an activity, or whichever suits the amount. */
  mover: moverSchema.default('worker'),
};

/** What to protect, when, how, and how long to keep it. */
export const policySchema = z
  .strictObject(shape)
  .refine(({ calendar, sla }) => calendar === null || sla === null, {
    error: 'a policy has a calendar or an SLA, not both',
    path: ['sla'],
  });
export type Policy = z.infer<typeof policySchema>;
/** A policy as a person may write it: what has a default can be left out. */
export type PolicyInput = z.input<typeof policySchema>;
