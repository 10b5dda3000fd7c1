import { z } from 'zod';
import {
  changedBlocksSchema,
  consistencyOptionsSchema,
  moverSchema,
  type Policy,
  snapshotOptionsSchema,
} from './policy.ts';
import { retentionRulesSchema } from './retentionRules.ts';
import { diskMatchSchema } from './scope.ts';

/** How one machine is backed up: as its policy says, or as a request on demand does. Kept with the session. */
export const protectionSchema = z.strictObject({
  retention: retentionRulesSchema.prefault({ keep: { daily: { points: 14 } } }),
  snapshots: snapshotOptionsSchema.prefault({}),
  changedBlocks: changedBlocksSchema.prefault({}),
  consistency: consistencyOptionsSchema.prefault({}),
  /** Only disks that match any of these; none named: every disk. */
  onlyDisks: z.array(diskMatchSchema).default([]),
  /** Disks that match any of these are left out, whatever else is said. */
  excludeDisks: z.array(diskMatchSchema).default([]),
  mover: moverSchema.default('worker'),
});
export type Protection = z.infer<typeof protectionSchema>;

export const protectionOf = ({
  retention,
  snapshots,
  changedBlocks,
  consistency,
  scope,
  mover,
}: Policy): Protection => ({
  retention,
  snapshots,
  changedBlocks,
  consistency,
  onlyDisks: scope.disks,
  excludeDisks: scope.exclude.disks,
  mover,
});
