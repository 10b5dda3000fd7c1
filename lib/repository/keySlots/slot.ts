import { z } from 'zod';
import { passwordSlotSchema } from '../passwordSlot.ts';
import { keyVaultSlotSchema } from './keyVaultSlot.ts';

/** So many that a forged descriptor cannot keep its reader busy: a password is tried on each slot. */
export const MAX_SLOTS = 16;

const KNOWN: ReadonlySet<unknown> = new Set(['password', 'keyVault']);

/** A slot of a kind that a later version made: kept as it is, and not tried. */
const otherSlotSchema = z.looseObject({
  id: z.string().regex(/^[0-9a-z-]{1,40}$/),
  kind: z.custom<'other'>((kind) => typeof kind === 'string' && !KNOWN.has(kind)),
});

/** A way to the master key. */
export const slotSchema = z.union([passwordSlotSchema, keyVaultSlotSchema, otherSlotSchema]);
export type Slot = z.infer<typeof slotSchema>;

export const slotsSchema = z.array(slotSchema).max(MAX_SLOTS);
