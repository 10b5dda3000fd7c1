/**
 * Key slots: the ways to a repository's master key, and their changes.
 *
 * Invariants
 * - A change is one write of the descriptor: old slots or new ones, never none. The last slot is never removed.
 * - The descriptor is authenticated under the master key with mode, slots and counter: a slot that was taken out, put in or
 *   put back by anybody without the master key is `corruptObject`, or `repositoryMismatch` against the remembered counter.
 * - A password and a Key Vault key open the same master key; no data depends on which.
 *
 * Not promised
 * - Removing or changing a slot does not revoke a copy of it: a copied descriptor and the `chain` objects of chains that began
 *   before keep opening. Only another master key (a new repository) protects what is written from then on.
 * - A Key Vault slot can be made by anybody who knows the public half of the key. That a descriptor opens with a vault proves
 *   its origin only together with the remembered fingerprint.
 */
export {
  addSlot,
  type ChangeSlots,
  changePassword,
  inspectSlots,
  removeSlot,
  rewrapSlot,
  type SlotChange,
  type SlotMaterial,
} from './changeSlots.ts';
export type { KeyVaultSlot } from './keyVaultSlot.ts';
export type { KeyWrapper, WrappedKey } from './keyWrapper.ts';
export { protectionOf } from './protection.ts';
