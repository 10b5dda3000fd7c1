import { z } from 'zod';
import { ERROR_CODES } from './errors.ts';
import { chainIdSchema, sessionIdSchema } from './ids.ts';
import { readReasonSchema } from './restorePoint.ts';

/** Version of the protocol between app and worker. A worker of another version is drained and replaced. */
export const JOB_SCHEMA_VERSION = 1;
/** A claim that is not renewed for this long may be taken by anyone. */
export const CLAIM_SECONDS = 120;
export const HEARTBEAT_SECONDS = 15;
/** A job that has failed this often is poisoned, and fails its session. */
export const MAX_ATTEMPTS = 4;

const chainRef = z.object({ id: chainIdSchema, blockBytes: z.number().int().positive() });
const bytes = z.number().int().nonnegative();

/** Plan one disk: which blocks to read, in which shards. Reads the snapshot's page lists, and a few blocks as CBT samples. */
export const planSpecSchema = z.object({
  kind: z.literal('plan'),
  chain: chainRef,
  sequence: z.number().int().positive(),
  disk: bytes,
  sizeBytes: z.number().int().positive(),
  /** ARM id of the snapshot to read. */
  snapshotId: z.string(),
  /** ARM id of the base snapshot: only what differs from it is read. Null: whole read. */
  baseSnapshotId: z.string().nullable(),
  /** Why this kind of read was chosen; the plan may fall back to a whole read and say why. */
  readReason: readReasonSchema,
  /** Staging object with the parent restore point's page table; null when there is no parent. */
  parentTable: z.string().nullable(),
  /** Aim for the changed bytes of one shard. A shard is a set of whole pages. */
  shardBytes: z.number().int().positive(),
});

/** Move the blocks of one shard of a plan into packs, and write the shard's map object. */
export const moveSpecSchema = z.object({
  kind: z.literal('move'),
  chain: chainRef,
  sequence: z.number().int().positive(),
  disk: bytes,
  sizeBytes: z.number().int().positive(),
  snapshotId: z.string(),
  /** Staging object that the plan wrote, and the shard of it. */
  plan: z.string(),
  shard: bytes,
  /** Decode every pack and compare it with its source bytes before its upload is acknowledged. */
  compare: z.boolean(),
});

/** Write the blocks of pages [pageFrom, pageTo) of one disk of a restore point to a disk that is being uploaded. */
export const restoreSpecSchema = z.object({
  kind: z.literal('restore'),
  chain: chainRef,
  disk: bytes,
  sizeBytes: z.number().int().positive(),
  /** Staging object with the restore point's page table. */
  table: z.string(),
  pageFrom: bytes,
  pageTo: bytes,
  /** ARM id of the disk. */
  targetDiskId: z.string(),
  /** Blocks that cannot be read stay zeros, and the result lists them. Else the first one fails the job. */
  allowDamaged: z.boolean().optional(),
});

export const jobSpecSchema = z.discriminatedUnion('kind', [
  planSpecSchema,
  moveSpecSchema,
  restoreSpecSchema,
]);
export type PlanSpec = z.infer<typeof planSpecSchema>;
export type MoveSpec = z.infer<typeof moveSpecSchema>;
export type RestoreSpec = z.infer<typeof restoreSpecSchema>;
export type JobSpec = z.infer<typeof jobSpecSchema>;
export type JobKind = JobSpec['kind'];

/** What services refused to the worker for asking too much; absent: nothing. Seconds are waited for it. */
const refused = z.object({ calls: bytes, seconds: z.number().nonnegative() }).optional();

export const planResultSchema = z.object({
  kind: z.literal('plan'),
  refused,
  /** Staging object with the shards. */
  plan: z.string(),
  shards: z.array(z.object({ shard: bytes, pages: bytes, readBytes: bytes })),
  /** Bytes that the shards will read: changed (or allocated) ranges rounded to blocks. */
  plannedBytes: bytes,
  /** Bytes in allocated ranges of the snapshot; null when only differences were listed. */
  allocatedBytes: bytes.nullable(),
  /** Bytes read to check CBT's word on blocks it calls unchanged. */
  sampledBytes: bytes,
  /** The reason that holds after planning: the spec's, or that of the fallback to a whole read. */
  readReason: readReasonSchema,
});
export const moveResultSchema = z.object({
  kind: z.literal('move'),
  refused,
  /** Name of the shard's map object in the data container, and its authentication tag (hex). */
  map: z.string(),
  mapTag: z.string(),
  readBytes: bytes,
  storedBytes: bytes,
  packs: bytes,
  blocksStored: bytes,
  blocksReused: bytes,
  blocksZero: bytes,
});
export const restoreResultSchema = z.object({
  kind: z.literal('restore'),
  refused,
  /** Bytes written to the disk; zero stretches of a fresh disk are not written. */
  writtenBytes: bytes,
  blocks: bytes,
  /** With `allowDamaged`: what could not be read and reads as zeros; absent: nothing. */
  damage: z
    .object({
      /** Blocks that were not read. */
      blocks: bytes,
      /** Bytes of the disk, ascending: all that was not read; more of it where the list would be too long. */
      ranges: z.array(z.object({ offset: bytes, length: bytes })),
      /** Some of the objects that are damaged or missing. */
      objects: z.array(z.string()),
    })
    .optional(),
});
export const jobResultSchema = z.discriminatedUnion('kind', [
  planResultSchema,
  moveResultSchema,
  restoreResultSchema,
]);
export type PlanResult = z.infer<typeof planResultSchema>;
export type MoveResult = z.infer<typeof moveResultSchema>;
export type RestoreResult = z.infer<typeof restoreResultSchema>;
export type JobResult = z.infer<typeof jobResultSchema>;

/** `open` may be claimed; `claimed` has an owner until `until`; `done`, `poisoned` and `cancelled` are final. */
export const jobStateSchema = z.enum(['open', 'claimed', 'done', 'poisoned', 'cancelled']);

export const jobProgressSchema = z.object({ doneBytes: bytes, readBytes: bytes, storedBytes: bytes });
export type JobProgress = z.infer<typeof jobProgressSchema>;

export const jobFailureSchema = z.object({
  attempt: z.number().int().positive(),
  owner: z.string(),
  code: z.enum(ERROR_CODES),
  message: z.string(),
  /** What the failure is about: of damage, the object. */
  target: z.string().optional(),
  retryable: z.boolean(),
});

/** A job as its row holds it. Nothing in it is secret. */
export const jobSchema = z.object({
  sessionId: sessionIdSchema,
  /** Unique within the session: `plan-<disk>`, `move-<disk>-<shard>`, `restore-<disk>-<part>`. */
  id: z.string().regex(/^[a-z]+(-\d+){1,2}$/),
  pool: z.string(),
  spec: jobSpecSchema,
  state: jobStateSchema,
  /** How often it was claimed. */
  attempt: z.number().int().nonnegative(),
  owner: z.string().nullable(),
  until: z.iso.datetime().nullable(),
  progress: jobProgressSchema,
  /** What a next attempt goes on from; its meaning is the job kind's. At most 8 KiB of JSON. */
  checkpoint: z.unknown().nullable(),
  failures: z.array(jobFailureSchema),
  result: jobResultSchema.nullable(),
});
export type Job = z.infer<typeof jobSchema>;

/**
 * What a worker needs to do a job, in memory only, never in a row, a log or a history. URLs carry a SAS each: source and
 * base read a snapshot, target writes a disk; data and staging may create and read, never list, overwrite or delete.
 */
export const jobSecretsSchema = z.object({
  /** Base64 of the chain's key. Never the master key. */
  chainKey: z.string(),
  dataUrl: z.string(),
  stagingUrl: z.string(),
  sourceUrl: z.string().nullable(),
  baseUrl: z.string().nullable(),
  targetUrl: z.string().nullable(),
  expiresAt: z.iso.datetime(),
});
export type JobSecrets = z.infer<typeof jobSecretsSchema>;
