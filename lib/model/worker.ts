import { z } from 'zod';
import { sessionIdSchema } from './ids.ts';
import {
  jobFailureSchema,
  jobProgressSchema,
  jobResultSchema,
  jobSecretsSchema,
  jobSpecSchema,
} from './job.ts';

/**
 * The worker protocol: POST /api/worker/claim | renew | complete | fail, HTTPS, bearer token of the VM's own identity.
 * All four may be called twice; an answer of `gone` means that the attempt is no longer the caller's.
 */
const attemptOf = { sessionId: sessionIdSchema, jobId: z.string(), attempt: z.number().int().positive() };

export const claimRequestSchema = z.object({ schemaVersion: z.number().int() });
/** `drain`: versions differ, the worker should end. No `job`: nothing to do now, ask again after `retryAfterSeconds`. */
export const claimAnswerSchema = z.object({
  drain: z.boolean(),
  retryAfterSeconds: z.number().positive(),
  job: z
    .object({
      ...attemptOf,
      spec: jobSpecSchema,
      checkpoint: z.unknown().nullable(),
      until: z.iso.datetime(),
      secrets: jobSecretsSchema,
    })
    .nullable(),
});
export type ClaimAnswer = z.infer<typeof claimAnswerSchema>;

export const renewRequestSchema = z.object({
  ...attemptOf,
  progress: jobProgressSchema,
  checkpoint: z.unknown().optional(),
  /** Ask for fresh secrets: a SAS was refused or is about to expire. */
  refresh: z.boolean().default(false),
});
/** `gone`: stop at once, without a word. `cancel`: stop, the session was cancelled. */
export const renewAnswerSchema = z.object({
  gone: z.boolean(),
  cancel: z.boolean(),
  until: z.iso.datetime(),
  secrets: jobSecretsSchema.nullable(),
});
export type RenewAnswer = z.infer<typeof renewAnswerSchema>;

export const completeRequestSchema = z.object({ ...attemptOf, result: jobResultSchema });
export const failRequestSchema = z.object({
  ...attemptOf,
  failure: jobFailureSchema.omit({ attempt: true, owner: true }),
});
export const endAnswerSchema = z.object({ gone: z.boolean() });

export const packageAnswerSchema = z.object({
  /** SHA-256 of the tarball, hex; the worker refuses any other bytes. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  url: z.string(),
});

/** A slot of a worker pool: the VM is named by slot and generation, so that a replacement never meets its predecessor. */
export const workerSchema = z.object({
  pool: z.string(),
  slot: z.number().int().nonnegative(),
  generation: z.number().int().nonnegative(),
  /** `free`: no VM, or a deallocated one, and no holder. `starting` until its first claim call; then `ready`; `releasing` while it is stopped. */
  state: z.enum(['free', 'starting', 'ready', 'releasing']),
  /** The session whose jobs it does. */
  holder: sessionIdSchema.nullable(),
  vmId: z.string().nullable(),
  vmState: z.enum(['none', 'running', 'deallocated']),
  principalId: z.string().nullable(),
  location: z.string(),
  size: z.string().nullable(),
  since: z.iso.datetime(),
  seenAt: z.iso.datetime().nullable(),
});
export type Worker = z.infer<typeof workerSchema>;
