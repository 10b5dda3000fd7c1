import { z } from 'zod';
import { HoldfastError } from '../model/index.ts';
import { type PasswordSlot, passwordSlotSchema, unwrapWithPassword } from './passwordSlot.ts';
import { FORMAT_VERSION } from './sealedObject.ts';

/** What opens a repository. `mode: 'none'` says that an unencrypted repository is expected: an encrypted one is refused, and the reverse. */
export type Unlock = { readonly password: string } | { readonly mode: 'none' };

/** A way to the master key. A slot for a Key Vault key will be another kind. */
export const slotSchema = passwordSlotSchema;
export type Slot = PasswordSlot;

/** What a repository says of itself, readable without a key and authenticated under it. */
export const descriptorSchema = z.strictObject({
  format: z.literal(FORMAT_VERSION),
  id: z.uuid(),
  mode: z.enum(['encrypted', 'none']),
  /** Rises with each change of the descriptor. */
  counter: z.number().int().positive(),
  createdAt: z.iso.datetime(),
  slots: z.array(slotSchema),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

/** The master key (null in mode `none`). Throws `wrongPassword`, or `repositoryMismatch` when mode and `unlock` disagree. */
export async function unlockSlots(
  descriptor: Pick<Descriptor, 'id' | 'mode' | 'slots'>,
  unlock: Unlock,
  where: string,
): Promise<Buffer | null> {
  if ('mode' in unlock) {
    if (descriptor.mode === 'none') return null;
    throw new HoldfastError(
      'repositoryMismatch',
      `The repository in ${where} is encrypted, and no password was given.`,
      {
        target: where,
      },
    );
  }
  if (descriptor.mode === 'none') {
    throw new HoldfastError(
      'repositoryMismatch',
      `The repository in ${where} is not encrypted, but a password was given for it. It may not be the repository you mean: check the address, or open it as unencrypted.`,
      { target: where },
    );
  }
  for (const slot of descriptor.slots) {
    const master = await unwrapWithPassword(slot, descriptor.id, unlock.password);
    if (master) return master;
  }
  throw new HoldfastError('wrongPassword', `The password does not open the repository in ${where}.`, {
    target: where,
  });
}
