/** The state of the upkeep of a repository: see state.ts. */
import { z } from 'zod';
import { chainIdSchema } from '../../model/index.ts';
import { inRepository } from './inRepository.ts';

/** Verification of the repository: everything it holds by structure or content, or what was not looked at for longest. */
export const checkStateSchema = z.object({
  request: z.object({
    kind: z.literal('check'),
    ...inRepository,
    depth: z.enum(['structure', 'content', 'rolling']),
    /** Of `rolling`: how long it may take. */
    budgetSeconds: z.number().int().positive(),
  }),
  findings: z.number().int().default(0),
  /** Chains with damage, and damaged later generations of packs: what is healed at the end. */
  toHeal: z.array(chainIdSchema).default([]),
  spoiled: z.array(z.string()).default([]),
});

export const collectionStateSchema = z.object({
  request: z.object({ kind: z.literal('collection'), ...inRepository }),
  /** Chains that are still to be looked at; null before the first look. */
  chains: z.array(chainIdSchema).nullable().default(null),
  removed: z.number().int().default(0),
  bytes: z.number().default(0),
  compacted: z.number().int().default(0),
  /** Garbage that is immutable; it goes with a later collection. */
  locked: z.number().int().default(0),
});

export const rescanStateSchema = z.object({
  request: z.object({
    kind: z.literal('rescan'),
    ...inRepository,
    /** Chains whose older state the operator accepts. */
    accept: z.array(z.string()),
  }),
});

export const archiveStateSchema = z.object({
  request: z.object({ kind: z.literal('archive'), machineId: z.string() }),
});
