/** The state of a restore of disks: see state.ts. */
import { z } from 'zod';
import { chainIdSchema, diskSchema, moverSchema } from '../../model/index.ts';
import { inRepository } from './inRepository.ts';

export const restoreStateSchema = z.object({
  request: z.object({
    kind: z.literal('restore'),
    ...inRepository,
    chainId: chainIdSchema,
    sequence: z.number().int().positive(),
    /** Numbers in the chain; null for all. */
    disks: z.array(z.number().int().nonnegative()).nullable(),
    subscriptionId: z.string(),
    resourceGroup: z.string(),
    location: z.string(),
    namePrefix: z.string(),
    mover: moverSchema,
  }),
  opened: z
    .object({
      pool: z.string(),
      /** Keeps collection away from the point while it is read. */
      lease: z.string(),
      disks: z.array(
        z.object({
          number: z.number().int().nonnegative(),
          name: z.string(),
          sizeBytes: z.number().int().positive(),
          targetId: z.string(),
          source: diskSchema,
        }),
      ),
    })
    .nullable()
    .default(null),
  inline: z.boolean().nullable().default(null),
});
