import { z } from 'zod';
import {
  changedBlocksSchema,
  diskProgressSchema,
  flagSchema,
  holdSchema,
  machineSchema,
  pointRetentionSchema,
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
  .extend({
    protectedBy: z.string().nullable(),
    /** What in that policy's scope names it. */
    protectedBecause: z.string().nullable(),
    passedOver: z.array(z.string()),
    coverage: z.enum(['protected', 'late', 'waiting', 'none']),
    coverageWhy: z.string(),
    rpoSeconds: z.number().nullable(),
    lastRestorePointAt: z.string().nullable(),
    restorePoints: z.number(),
  })
  .loose();
export type MachineAnswer = z.infer<typeof machineAnswer>;

const seconds = z.number().nonnegative();
/** Where a session's time went, as the API tells it. */
const sessionTimes = {
  phases: z.array(
    z.object({ phase: z.string(), startedAt: z.string(), endedAt: z.string().nullable(), seconds }).loose(),
  ),
  waits: z.array(z.object({ kind: z.string(), times: z.number(), seconds }).loose()),
  throttling: z.object({ calls: z.number(), seconds }).loose(),
};

/** What a retention session removed, and why. */
const removedAnswer = z
  .object({
    points: z.number(),
    snapshots: z.number(),
    changed: z.number(),
    removed: z.array(
      z
        .object({
          what: z.string(),
          name: z.string(),
          machineName: z.string(),
          takenAt: z.string(),
          flags: z.string(),
          why: z.string(),
        })
        .loose(),
    ),
  })
  .loose();
export type RemovedAnswer = z.infer<typeof removedAnswer>['removed'][number];

export const sessionAnswer = sessionSchema
  .extend({
    ...sessionTimes,
    percent,
    disks: z.array(diskProgressSchema.extend({ percent }).loose()),
    retention: removedAnswer.nullable().optional(),
    createdDisks: z.array(z.object({ number: z.number().int(), diskId: z.string() }).loose()).optional(),
  })
  .loose();
export type SessionAnswer = z.infer<typeof sessionAnswer>;
export type DiskAnswer = SessionAnswer['disks'][number];

const shardAnswer = z
  .object({
    id: z.string(),
    kind: z.string(),
    state: z.string(),
    attempt: z.number(),
    owner: z.string().nullable(),
    readBytes: z.number(),
    storedBytes: z.number(),
    failures: z.array(z.string()),
  })
  .loose();
/** `expand=tree`: a session with the sessions that it started, and the shards of its disks. */
export const sessionTreeAnswer = sessionAnswer.extend({
  disks: z.array(diskProgressSchema.extend({ percent, shards: z.array(shardAnswer) }).loose()),
  get children() {
    return z.array(sessionTreeAnswer);
  },
  moreChildren: z.number(),
});
export type SessionTreeAnswer = z.infer<typeof sessionTreeAnswer>;

/** What stays of one machine, and why. */
export const retentionAnswer = z
  .object({
    what: z.enum(['restorePoint', 'snapshot']),
    name: z.string(),
    takenAt: z.string(),
    flags: z.string(),
    keep: z.boolean(),
    why: z.string(),
    until: z.string().nullable(),
  })
  .loose();
export type RetentionAnswer = z.infer<typeof retentionAnswer>;

/** What a restore point says of its retention, after it was held or released. */
export const heldAnswer = pointRetentionSchema.loose();

/** How well a policy keeps its SLA. */
export const complianceAnswer = z
  .object({
    policyId: z.string(),
    from: z.string(),
    until: z.string(),
    thresholdPercent: z.number(),
    percent: z.number(),
    met: z.boolean(),
    machines: z.array(
      z
        .object({
          machineName: z.string(),
          region: z.string(),
          expected: z.number(),
          met: z.number(),
          assumed: z.number(),
          percent: z.number(),
          misses: z.array(z.string()),
        })
        .loose(),
    ),
    days: z.array(z.object({ from: z.string(), percent: z.number(), met: z.boolean() }).loose()),
  })
  .loose();
export type ComplianceAnswer = z.infer<typeof complianceAnswer>;

export const pointAnswer = restorePointSchema
  .extend({
    state: z.enum(['ok', 'damaged', 'missing']),
    flags: z.array(flagSchema),
    hold: holdSchema.nullable(),
    expiresAt: z.string().nullable(),
    immutableUntil: z.string().nullable(),
  })
  .loose();
export type PointAnswer = z.infer<typeof pointAnswer>;

export const policyAnswer = policySchema
  .safeExtend({ nextSlots: z.array(z.string()).default([]), etag: z.string().optional() })
  .loose();
export type PolicyAnswer = z.infer<typeof policyAnswer>;

const findingAnswer = z
  .object({ level: z.enum(['error', 'warning']), path: z.string(), message: z.string() })
  .loose();
export type FindingAnswer = z.infer<typeof findingAnswer>;
const perPolicy = z.record(z.string(), z.number());
export const validationAnswer = z
  .object({
    valid: z.boolean(),
    errors: z.array(findingAnswer),
    warnings: z.array(findingAnswer),
    machines: z
      .object({
        inScope: z.number(),
        excluded: z.number(),
        owned: z.number(),
        takes: perPolicy,
        ownedByOthers: perPolicy,
      })
      .loose()
      .nullable(),
  })
  .loose();
export type ValidationAnswer = z.infer<typeof validationAnswer>;
const differenceAnswer = z
  .object({ path: z.string(), before: z.unknown().optional(), after: z.unknown().optional() })
  .loose();
export type DifferenceAnswer = z.infer<typeof differenceAnswer>;
export const policyDiffAnswer = z
  .object({ exists: z.boolean(), differences: z.array(differenceAnswer) })
  .loose();
export const importAnswer = z
  .object({
    dryRun: z.boolean(),
    value: z.array(
      z.object({ id: z.string(), action: z.string(), differences: z.array(differenceAnswer) }).loose(),
    ),
    warnings: z.array(findingAnswer),
  })
  .loose();
export type ImportedAnswer = z.infer<typeof importAnswer>['value'][number];

export const damageAnswer = z
  .object({
    name: z.string(),
    machineName: z.string(),
    takenAt: z.string(),
    kind: z.string(),
    affects: z.array(z.string()),
    disks: z.array(z.object({ name: z.string(), blocks: z.number() }).loose()),
    what: z.string(),
  })
  .loose();
export type DamageAnswer = z.infer<typeof damageAnswer>;

const whole = z.number().int().nonnegative();
/** How the installation is. */
export const overviewAnswer = z
  .object({
    at: z.string(),
    coverage: z.object({ protected: whole, late: whole, waiting: whole, none: whole }).loose(),
    attention: z.array(
      z
        .object({
          machineName: z.string(),
          state: z.string(),
          policyId: z.string().nullable(),
          rpoSeconds: seconds.nullable(),
          why: z.string(),
        })
        .loose(),
    ),
    sessions: z
      .object({
        running: whole,
        byKind: z.record(z.string(), z.record(z.string(), whole).optional()),
        failed: z.array(
          z
            .object({
              id: z.string(),
              kind: z.string(),
              machineName: z.string().nullable(),
              policyId: z.string().nullable(),
              endedAt: z.string().nullable(),
              error: z.object({ code: z.string(), message: z.string() }).loose().nullable(),
            })
            .loose(),
        ),
      })
      .loose(),
    bottlenecks: z.array(
      z
        .object({
          wait: z.string(),
          seconds,
          sessions: whole,
          longest: z.object({ sessionId: z.string(), seconds }).loose(),
        })
        .loose(),
    ),
    policies: z.array(
      z
        .object({ policyId: z.string(), runs: whole, lastSeconds: seconds, usualSeconds: seconds.nullable() })
        .loose(),
    ),
    repositories: z.array(
      z
        .object({
          repository: z.string().nullable(),
          machines: whole,
          restorePoints: whole,
          damaged: whole,
          storedBytes: whole,
          protectedBytes: whole,
        })
        .loose(),
    ),
    upcoming: z.array(
      z
        .object({
          at: z.string(),
          policyId: z.string(),
          region: z.string().nullable(),
          makes: z.string(),
          flags: z.array(z.string()),
        })
        .loose(),
    ),
    troubles: z.array(z.string()),
  })
  .loose();
export type OverviewAnswer = z.infer<typeof overviewAnswer>;

/** What the dry run of a removal answers with: what would go, and what stays and why. */
export const removalPlanAnswer = z
  .object({
    points: z.array(
      z
        .object({
          name: z.string(),
          machineName: z.string(),
          takenAt: z.string(),
          storedBytes: z.number(),
          verdict: z.string(),
          until: z.string().nullable(),
          why: z.string().nullable(),
        })
        .loose(),
    ),
    snapshots: z.array(
      z
        .object({
          id: z.string(),
          origin: z.string(),
          takenAt: z.string().nullable(),
          verdict: z.string(),
          why: z.string().nullable(),
        })
        .loose(),
    ),
    consequences: z.array(z.string()),
  })
  .loose();
export type RemovalPlanAnswer = z.infer<typeof removalPlanAnswer>;

/** What a start answers with: 202 and the session. */
export const startedAnswer = z.object({ id: z.string() }).loose();
export const startedListAnswer = z.object({ value: z.array(startedAnswer) }).loose();

/** What the reset of a policy's changed block tracking answers with. */
export const resetAnswer = z.object({ id: z.string(), changedBlocks: changedBlocksSchema }).loose();

export const snapshotSetAnswer = z
  .object({
    name: z.string(),
    machineId: z.string(),
    machineName: z.string().nullable(),
    kind: z.string(),
    flags: z.array(flagSchema),
    takenAt: z.string().nullable(),
    expiresAt: z.string().nullable(),
    diskBytes: z.number().nullable(),
    base: z.boolean(),
    why: z.string(),
    snapshots: z.array(z.object({ id: z.string() }).loose()),
  })
  .loose();
export type SnapshotSetAnswer = z.infer<typeof snapshotSetAnswer>;

export const repositoryAnswer = z
  .object({
    id: z.string(),
    mode: z.string(),
    owner: z.string().nullable(),
    ownerSince: z.string().nullable().optional(),
    ownerSeenAt: z.string().nullable().optional(),
    slots: z.array(z.object({ id: z.string() }).loose()),
    meta: z.string(),
    data: z.string(),
  })
  .loose();
export type RepositoryAnswer = z.infer<typeof repositoryAnswer>;

export const keySlotAnswer = z
  .object({ id: z.string(), kind: z.string(), key: z.string().nullable(), opensHere: z.boolean() })
  .loose();
export const keySlotsAnswer = z.object({ value: z.array(keySlotAnswer) }).loose();
export type KeySlotAnswer = z.infer<typeof keySlotAnswer>;

/** What the dry run of an adoption answers with: what there is to adopt, and whose it is. */
export const adoptionPreviewAnswer = z
  .object({
    id: z.string(),
    mode: z.string(),
    protection: z.string(),
    owner: z.object({ installation: z.string(), since: z.string(), seenAt: z.string() }).loose().nullable(),
    needsTakeOver: z.boolean(),
    replaces: z.string().nullable(),
  })
  .loose();
export type AdoptionPreview = z.infer<typeof adoptionPreviewAnswer>;

/** A repository of the service, and where it is. */
export const repositoryPlaceAnswer = z
  .object({
    id: z.string(),
    repositoryId: z.string().nullable(),
    blobEndpoint: z.string(),
    metaContainer: z.string(),
    dataContainer: z.string(),
    immutabilityDays: z.number(),
    region: z.string().nullable(),
    chains: z.number(),
  })
  .loose();
export type RepositoryPlaceAnswer = z.infer<typeof repositoryPlaceAnswer>;
/** What taking a repository out of the service answers with. */
export const detachedAnswer = z.object({ points: z.number() }).loose();

/** What the dry run of a backup answers with: what would be read, and why so. */
export const backupPreviewAnswer = z
  .object({
    disks: z.array(z.object({ name: z.string(), sizeBytes: z.number(), plannedReason: z.string() }).loose()),
  })
  .loose();
export type DiskPreview = z.infer<typeof backupPreviewAnswer>['disks'][number];

/** What the dry run of a restore answers with: the restore point, and where its disks would be created. */
export const restorePreviewAnswer = z
  .object({ point: restorePointSchema.loose(), resourceGroup: z.string(), location: z.string() })
  .loose();

const amounts = z
  .object({
    snapshots: z.number(),
    repository: z.number(),
    traffic: z.number(),
    transactions: z.number(),
    workers: z.number(),
    total: z.number(),
  })
  .loose();
/** What an estimate of a policy's costs answers with. */
export const estimateAnswer = z
  .object({
    currency: z.string(),
    prices: z.object({ name: z.string(), asOf: z.string(), note: z.string() }).loose(),
    assumptions: z.object({ months: z.number() }).loose(),
    machines: z.array(
      z
        .object({
          machine: z.string(),
          region: z.string(),
          sizeBytes: z.number(),
          usedBytes: z.number(),
          basis: z.string(),
          monthly: amounts,
          once: amounts,
          lines: z.array(
            z
              .object({
                kind: z.string(),
                period: z.string(),
                what: z.string(),
                repository: z.string().nullable(),
                quantity: z.number(),
                unit: z.string(),
                unitPrice: z.number(),
                amount: z.number(),
              })
              .loose(),
          ),
        })
        .loose(),
    ),
    monthly: amounts,
    once: amounts,
    warnings: z.array(z.string()),
  })
  .loose();
export type EstimateAnswer = z.infer<typeof estimateAnswer>;
