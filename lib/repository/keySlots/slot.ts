import { z } from 'zod';
import { passwordSlotSchema } from '../passwordSlot.ts';
import { keyVaultSlotSchema } from './keyVaultSlot.ts';

/** So many that a forged descriptor cannot keep its reader busy: a password is tried on each slot. */
export const MAX_SLOTS = 16;

/** A way to the master key. */
export const slotSchema = z.discriminatedUnion('kind', [passwordSlotSchema, keyVaultSlotSchema]);
export type Slot = z.infer<typeof slotSchema>;

export const slotsSchema = z.array(slotSchema).max(MAX_SLOTS);
