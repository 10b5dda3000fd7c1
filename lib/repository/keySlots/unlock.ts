import { HoldfastError, isHoldfastError } from '../../model/index.ts';
import { unwrapWithPassword } from '../passwordSlot.ts';
import { unwrapWithKeyVault } from './keyVaultSlot.ts';
import type { KeyWrapper } from './keyWrapper.ts';
import type { Slot } from './slot.ts';

/**
 * What opens a repository. `mode: 'none'` says that an unencrypted repository is expected: an encrypted one is refused, and
 * the reverse. `keyVault` opens any of its Key Vault slots.
 */
export type Unlock =
  | { readonly password: string }
  | { readonly keyVault: KeyWrapper }
  | { readonly mode: 'none' };

/** What holds the slots: the descriptor, or the copy of them in a `chain` object. */
export interface Locked {
  readonly id: string;
  readonly mode: 'encrypted' | 'none';
  readonly slots: readonly Slot[];
}

/** A slot that opened, and the master key that was in it. */
export interface Unlocked {
  readonly slot: Slot;
  readonly master: Buffer;
}

/**
 * The master key and the slot that gave it; null in mode `none`. Throws `repositoryMismatch` when mode and `unlock` disagree,
 * `wrongPassword`, or what the vault said of its key: `notFound`, `notConfigured`, `accessDenied`, ...
 */
export async function unlock(locked: Locked, unlocking: Unlock, where: string): Promise<Unlocked | null> {
  if ('mode' in unlocking) {
    if (locked.mode === 'none') return null;
    throw refused('repositoryMismatch', where, 'is encrypted, and neither a password nor a vault was given.');
  }
  if (locked.mode === 'none') {
    const given = 'password' in unlocking ? 'a password' : 'a vault';
    throw refused(
      'repositoryMismatch',
      where,
      `is not encrypted, but ${given} was given for it. It may not be the repository you mean: check the address, or open it as unencrypted.`,
    );
  }
  return 'password' in unlocking
    ? byPassword(locked, unlocking.password, where)
    : byKeyVault(locked, unlocking.keyVault, where);
}

async function byPassword(locked: Locked, password: string, where: string): Promise<Unlocked> {
  const slots = locked.slots.filter((slot) => slot.kind === 'password');
  for (const slot of slots) {
    const master = await unwrapWithPassword(slot, locked.id, password);
    if (master) return { slot, master };
  }
  if (slots.length > 0) {
    throw new HoldfastError(
      'wrongPassword',
      `The password does not open the repository in ${where}. It may have been changed: try the newest one.`,
      { target: where },
    );
  }
  throw refused(
    'wrongPassword',
    where,
    'has no password. Open it with its Key Vault key, and add a password there if you want one.',
  );
}

/** Tries every slot: one key that is gone does not matter while another one opens. The first failure is told. */
async function byKeyVault(locked: Locked, wrapper: KeyWrapper, where: string): Promise<Unlocked> {
  const slots = locked.slots.filter((slot) => slot.kind === 'keyVault');
  let first: HoldfastError | undefined;
  for (const slot of slots) {
    try {
      return { slot, master: await unwrapWithKeyVault(slot, locked.id, wrapper) };
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      first ??= error;
    }
  }
  if (!first)
    throw refused('notConfigured', where, 'has no Key Vault slot: open it with its password, and add one.');
  const { code, message, target, retryable } = first;
  throw new HoldfastError(code, `The repository in ${where} was not opened. ${message}`, {
    ...(target === undefined ? {} : { target }),
    retryable,
    cause: first,
  });
}

const refused = (
  code: 'repositoryMismatch' | 'wrongPassword' | 'notConfigured',
  where: string,
  why: string,
): HoldfastError => new HoldfastError(code, `The repository in ${where} ${why}`, { target: where });
