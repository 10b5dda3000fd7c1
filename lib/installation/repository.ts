import { createHash } from 'node:crypto';
import type { TokenCredential } from '@azure/core-auth';
import { AzureBlobStore, type KeyVault, KeyVaultKeys } from '../azure/index.ts';
import type { Catalog } from '../catalog/index.ts';
import { type Clock, HoldfastError, isHoldfastError } from '../model/index.ts';
import {
  createRepository,
  openRepository,
  type Repository,
  rememberRepository,
  takeOwnership,
  type Unlock,
} from '../repository/index.ts';
import type { Settings } from './settings.ts';

interface Parts {
  readonly settings: Settings;
  readonly credential: TokenCredential;
  readonly vault: KeyVault;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/**
 * Opens the installation's repository with the password from Key Vault, founding it at the very first use, and makes sure
 * that it is the one the installation knows, and its own.
 *
 * @throws `wrongPassword`, `repositoryMismatch`, `notOwner`, each saying what to do
 */
export async function openOwnRepository({
  settings,
  credential,
  vault,
  catalog,
  clock,
}: Parts): Promise<Repository> {
  const meta = AzureBlobStore.withCredential(
    `${settings.HOLDFAST_REPOSITORY_ENDPOINT}/${settings.HOLDFAST_META_CONTAINER}`,
    credential,
  );
  const data = AzureBlobStore.withCredential(
    `${settings.HOLDFAST_REPOSITORY_ENDPOINT}/${settings.HOLDFAST_DATA_CONTAINER}`,
    credential,
  );
  const { unlock, ...founding } = await waysIn({ settings, credential, vault });
  const remembered = (await catalog.installation.repository()) !== null;
  const repository = await openOrFound();
  const { id, mode, fingerprint, counter } = rememberRepository(repository);
  await catalog.installation.recognise({ id, mode, fingerprint, counter });
  await takeOwnership(repository, { installation: settings.HOLDFAST_INSTALLATION_ID, now: clock.now() });
  return repository;

  async function openOrFound(): Promise<Repository> {
    try {
      return await openRepository({ meta, data, unlock });
    } catch (error) {
      // A repository that was there once is not founded anew: that would hide its loss.
      if (!isHoldfastError(error, 'missingObject') || remembered) throw error;
    }
    try {
      return await createRepository({ meta, data, unlock, ...founding, now: clock.now() });
    } catch (error) {
      // Another instance of the app was first.
      if (!isHoldfastError(error, 'alreadyExists')) throw error;
      return openRepository({ meta, data, unlock });
    }
  }
}

/** What opens the repository: the Key Vault key where one is named, else the password. */
async function waysIn({
  settings,
  credential,
  vault,
}: Pick<Parts, 'settings' | 'credential' | 'vault'>): Promise<{ unlock: Unlock; keyVaultKey?: string }> {
  const name = settings.HOLDFAST_KEY_VAULT_KEY_NAME;
  if (name === '') return { unlock: { password: await vault.getSecret(settings.HOLDFAST_PASSWORD_SECRET) } };
  const keyVault = new KeyVaultKeys(settings.HOLDFAST_KEY_VAULT_URL, credential);
  return { unlock: { keyVault }, keyVaultKey: keyVault.keyId(name) };
}

/** The key that seals snapshot tags: any secret of at least 16 characters, hashed to 32 bytes. */
export async function readInstallationKey(settings: Settings, vault: KeyVault): Promise<Buffer> {
  const secret = await vault.getSecret(settings.HOLDFAST_INSTALLATION_KEY_SECRET);
  if (secret.length < 16) {
    throw new HoldfastError(
      'notConfigured',
      `The secret ${settings.HOLDFAST_INSTALLATION_KEY_SECRET} is too short; it wants 16 characters or more.`,
      {
        target: settings.HOLDFAST_INSTALLATION_KEY_SECRET,
      },
    );
  }
  return createHash('sha256').update(secret, 'utf8').digest();
}
