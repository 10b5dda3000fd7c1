/** The state of a run of a policy: see state.ts. */
import { z } from 'zod';
import { flagSchema, machineSchema } from '../../model/index.ts';

export const policyRunStateSchema = z.object({
  request: z.object({
    kind: z.literal('policyRun'),
    policyId: z.string(),
    /** Null: on request, not for a slot. */
    slot: z.iso.datetime().nullable(),
    /** Only machines of this region; null: all. */
    region: z.string().nullable().default(null),
    /** The slot runs after its time, for itself and for slots before it. */
    late: z.boolean().default(false),
    makes: z.enum(['snapshot', 'backup']).default('backup'),
    flags: z.array(flagSchema).default(['daily']),
    backupFlags: z.array(flagSchema).default(['daily']),
  }),
  /** The machines in scope when the run was opened, and the sessions started for them, in the same order. */
  machines: z.array(machineSchema).nullable().default(null),
  children: z.array(z.string()).default([]),
});
