import { z } from 'zod';
import { slotsSchema } from './keySlots/slot.ts';
import { type Locked, type Unlock, unlock } from './keySlots/unlock.ts';
import { FORMAT_VERSION } from './sealedObject.ts';

export type { Slot } from './keySlots/slot.ts';
export type { Unlock } from './keySlots/unlock.ts';

/** What a repository says of itself, readable without a key and authenticated under it. */
export const descriptorSchema = z.strictObject({
  format: z.literal(FORMAT_VERSION),
  id: z.uuid(),
  mode: z.enum(['encrypted', 'none']),
  /** Rises with each change of the descriptor. */
  counter: z.number().int().positive(),
  createdAt: z.iso.datetime(),
  slots: slotsSchema,
});
export type Descriptor = z.infer<typeof descriptorSchema>;

/** The master key (null in mode `none`). Throws as `unlock` does. */
export const unlockSlots = async (
  descriptor: Locked,
  unlocking: Unlock,
  where: string,
): Promise<Buffer | null> => (await unlock(descriptor, unlocking, where))?.master ?? null;
