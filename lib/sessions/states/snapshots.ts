/** The state of the upkeep of snapshots: see state.ts. */
import { z } from 'zod';

/** Of snapshots that no policy's retention looks at any more. */
export const snapshotRetentionStateSchema = z.object({
  request: z.object({
    kind: z.literal('snapshotRetention'),
    /** How long snapshots stay that nobody speaks for. */
    orphanDays: z.number().int().positive(),
  }),
  /** Names of the sets that were looked at. */
  tried: z.array(z.string()).default([]),
  /** Snapshots that are gone. */
  removed: z.number().int().default(0),
});

export const snapshotRescanStateSchema = z.object({
  request: z.object({ kind: z.literal('snapshotRescan') }),
  sets: z.number().int().default(0),
  /** Of machines that are gone. */
  orphanedSets: z.number().int().default(0),
  /** Chains that were taken up from what snapshots say. */
  chains: z.number().int().default(0),
});

export const snapshotRemovalStateSchema = z.object({
  request: z.object({
    kind: z.literal('snapshotRemoval'),
    subscriptionIds: z.array(z.string()),
    /** Names of the sets to remove. */
    sets: z.array(z.string()),
  }),
  tried: z.array(z.string()).default([]),
  removed: z.number().int().default(0),
});
