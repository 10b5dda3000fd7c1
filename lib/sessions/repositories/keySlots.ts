import type { Installation } from '../../installation/index.ts';
import {
  addSlot,
  type ChangeSlots,
  changePassword,
  inspectSlots,
  rememberRepository,
  removeSlot,
  rewrapSlot,
  type Slot,
  type SlotChange,
  type SlotMaterial,
} from '../../repository/index.ts';

/**
 * The key slots of the repository, for operators. Passwords are secrets of the installation's vault and go by their names
 * (`<name>`, or `<name>/<version>`); none is ever an argument, an answer, a row or an event. Each call answers when it is done,
 * and may be repeated. No change shuts the service out: what it opens the repository with must open it afterwards.
 */

/** A slot without anything of its secret. */
export interface ShownSlot {
  readonly id: string;
  readonly kind: string;
  /** The Key Vault key with its version; null for a password. */
  readonly key: string | null;
  /** The service opens the repository with this one. */
  readonly opensHere: boolean;
}

interface Where {
  /** Its name in this installation; default: the one of the settings. */
  readonly repository?: string | undefined;
}

interface OpenedWith extends Where {
  /** Name of a secret that opens the repository for this call, where the service's own way in does not. */
  readonly openWithSecret?: string | undefined;
}

/** What a new slot is made of: the name of a secret, or of a key of the vault. */
export type AskedMaterial = { readonly passwordSecret: string } | { readonly keyVaultKey: string };

export async function listKeySlots(installation: Installation, asked: Where): Promise<ShownSlot[]> {
  const { repository, slot } = await inspectSlots(await opening(installation, asked));
  return repository.slots.map((one) => shown(one, slot));
}

/** @throws `alreadyExists` when there is another slot of this id */
export async function addKeySlot(
  installation: Installation,
  asked: OpenedWith & { readonly id: string; readonly material: AskedMaterial },
): Promise<ShownSlot> {
  const material = await materialOf(installation, asked.material);
  const request = await opening(installation, asked);
  return settled(installation, 'added', asked, await addSlot({ ...request, id: asked.id, material }));
}

/** The last slot, and the one that the service opens the repository with, stay: `conflict`. */
export async function removeKeySlot(
  installation: Installation,
  asked: OpenedWith & { readonly id: string },
): Promise<void> {
  const request = await guarded(installation, asked);
  await settled(installation, 'removed', asked, await removeSlot({ ...request, id: asked.id }));
}

/**
 * Changes the password of the slot that the old secret opens. Each secret defaults to the one that the service opens the
 * repository with; of one whose value was changed the old version is still there.
 */
export async function changeKeyPassword(
  installation: Installation,
  asked: Where & { readonly oldSecret?: string | undefined; readonly newSecret?: string | undefined },
): Promise<ShownSlot> {
  const own = (await installation.repositoryAccess(asked.repository)).passwordSecret;
  const password = await installation.vault.getSecret(asked.oldSecret ?? own);
  const newPassword = await installation.vault.getSecret(asked.newSecret ?? own);
  const request = await guarded(installation, asked);
  const change = await changePassword({ ...request, unlock: { password }, newPassword });
  return settled(installation, 'passwordChanged', { ...asked, id: change.slot?.id ?? '' }, change);
}

/** Wraps a Key Vault slot again: with the newest version of its key, or with another key of the vault. */
export async function rewrapKeySlot(
  installation: Installation,
  asked: OpenedWith & { readonly id: string; readonly keyVaultKey?: string | undefined },
): Promise<ShownSlot> {
  const { vaultKeys } = installation;
  const change = await rewrapSlot({
    ...(await guarded(installation, asked)),
    id: asked.id,
    keyVault: vaultKeys,
    ...(asked.keyVaultKey === undefined ? {} : { key: vaultKeys.keyId(asked.keyVaultKey) }),
  });
  return settled(installation, 'rewrapped', asked, change);
}

async function materialOf(
  { vault, vaultKeys }: Installation,
  material: AskedMaterial,
): Promise<SlotMaterial> {
  if ('passwordSecret' in material) return { password: await vault.getSecret(material.passwordSecret) };
  return { keyVault: vaultKeys, key: vaultKeys.keyId(material.keyVaultKey) };
}

async function opening(
  installation: Installation,
  { openWithSecret, repository }: OpenedWith,
): Promise<ChangeSlots> {
  const { meta, data, unlock } = await installation.repositoryAccess(repository);
  const known = await installation.catalog.installation.repository(repository);
  return {
    meta,
    data,
    unlock:
      openWithSecret === undefined
        ? unlock
        : { password: await installation.vault.getSecret(openWithSecret) },
    remembered: known
      ? { ...known, mode: known.mode === 'none' ? 'none' : 'encrypted', fingerprint: known.fingerprint ?? '' }
      : undefined,
  };
}

/** As `opening`, and whatever is changed, the service's own way in must open the repository afterwards. */
async function guarded(installation: Installation, asked: OpenedWith): Promise<ChangeSlots> {
  const { unlock: mustOpen } = await installation.repositoryAccess(asked.repository);
  return { ...(await opening(installation, asked)), mustOpen };
}

type What = 'added' | 'removed' | 'passwordChanged' | 'rewrapped';

/** Remembers the repository as it now is, and says what was changed to those who watch. */
async function settled(
  installation: Installation,
  change: What,
  { id, repository: name }: Where & { readonly id: string },
  { repository, changed, slot }: SlotChange,
): Promise<ShownSlot> {
  await installation.catalog.installation.recognise(rememberRepository(repository), name);
  if (changed) {
    installation.telemetry.event('holdfast.repository.keysChanged', {
      repositoryId: repository.id,
      change,
      slot: id,
    });
    installation.reopenRepository(name);
  }
  return shown(slot ?? { id, kind: 'other' }, null);
}

const shown = (slot: Slot, opener: Slot | null): ShownSlot => ({
  id: slot.id,
  kind: slot.kind,
  key: slot.kind === 'keyVault' ? slot.key : null,
  opensHere: slot.id === opener?.id,
});
