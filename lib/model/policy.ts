import { z } from 'zod';
import { policyIdSchema } from './ids.ts';

export const moverSchema = z.enum(['worker', 'inline', 'auto']);
export type Mover = z.infer<typeof moverSchema>;

/** What to protect, when, and how long to keep it. */
export const policySchema = z.object({
  schemaVersion: z.literal(1).default(1),
  id: policyIdSchema,
  enabled: z.boolean().default(true),
  /** Which machines: all of the subscriptions, or of the resource groups, or the named ones (ARM id or vmId). */
  scope: z.object({
    subscriptions: z.array(z.string()).default([]),
    resourceGroups: z.array(z.string()).default([]),
    machines: z.array(z.string()).default([]),
  }),
  /** Cron with five fields (minute to weekday), evaluated in an IANA time zone. */
  schedule: z
    .object({ cron: z.string(), timeZone: z.string().default('UTC') })
    .nullable()
    .default(null),
  retention: z
    .object({ restorePoints: z.number().int().positive(), snapshots: z.number().int().positive() })
    .default({ restorePoints: 14, snapshots: 2 }),
  /** Who moves the data: a worker VM, an activity, or whichever suits the amount. */
  mover: moverSchema.default('worker'),
});
export type Policy = z.infer<typeof policySchema>;
