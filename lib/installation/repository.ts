import { createHash } from 'node:crypto';
import type { TokenCredential } from '@azure/core-auth';
import { AzureLockableStore, type KeyVault, type KeyVaultKeys, SasIssuer } from '../azure/index.ts';
import type { Catalog } from '../catalog/index.ts';
import {
  type Clock,
  DEFAULT_REPOSITORY,
  HoldfastError,
  isHoldfastError,
  type RepositoryPlace,
} from '../model/index.ts';
import {
  createRepository,
  openRepository,
  openVersioned,
  PointLocks,
  rememberRepository,
  takeOwnership,
  type Unlock,
} from '../repository/index.ts';
import type { InstalledRepository, RepositoryAccess } from './installation.ts';
import type { Settings } from './settings.ts';

interface Parts {
  readonly place: RepositoryPlace;
  readonly installation: string;
  readonly credential: TokenCredential;
  readonly vault: KeyVault;
  readonly vaultKeys: KeyVaultKeys;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** The repository that the settings name. */
export const defaultPlace = (settings: Settings): RepositoryPlace => ({
  id: DEFAULT_REPOSITORY,
  blobEndpoint: settings.HOLDFAST_REPOSITORY_ENDPOINT,
  metaContainer: settings.HOLDFAST_META_CONTAINER,
  dataContainer: settings.HOLDFAST_DATA_CONTAINER,
  passwordSecret: settings.HOLDFAST_PASSWORD_SECRET,
  keyVaultKey: settings.HOLDFAST_KEY_VAULT_KEY_NAME,
  immutabilityDays: settings.HOLDFAST_IMMUTABILITY_DAYS,
  region: settings.HOLDFAST_LOCATION,
});

/**
 * Opens a repository of the installation with the password, or the key, from Key Vault, founding it at the very first use, and makes
 * sure that it is the one the installation knows, and its own.
 *
 * @throws `wrongPassword`, `repositoryMismatch`, `notOwner`, `notConfigured`, each saying what to do
 */
export async function openOwnRepository(parts: Parts): Promise<InstalledRepository> {
  const { place, installation, catalog, clock } = parts;
  const remembered = (await catalog.installation.repository(place.id)) !== null;
  const repository = await openOrFound(parts, !remembered);
  if (remembered) await catalog.installation.recognise(rememberRepository(repository), place.id);
  await takeOwnership(repository, { installation, now: clock.now() });
  // One that belongs to somebody else is not remembered.
  if (!remembered) await catalog.installation.recognise(rememberRepository(repository), place.id);
  return repository;
}

/**
 * Opens a repository that is to be registered, or founds it, if none is known under the name. One that belongs to another
 * installation is refused. Nothing is remembered.
 */
export async function tryRepository(parts: Parts, takeOver = ''): Promise<InstalledRepository> {
  const known = await parts.catalog.installation.repository(parts.place.id);
  const repository = await openOrFound(parts, known === null);
  await takeOwnership(repository, {
    installation: parts.installation,
    now: parts.clock.now(),
    takeOver,
  });
  return repository;
}

/** A repository that was there once is not founded anew: that would hide its loss. */
async function openOrFound(parts: Parts, mayFound: boolean): Promise<InstalledRepository> {
  const { place, clock, vaultKeys, credential } = parts;
  const stores = containersOf(place, credential);
  await checkImmutability(place, stores);
  const { unlock } = await repositoryAccess(parts);
  const founding = 'keyVault' in unlock ? { keyVaultKey: vaultKeys.keyId(place.keyVaultKey) } : {};
  const open = () => openIn(stores, unlock, parts);
  try {
    return await open();
  } catch (error) {
    if (!isHoldfastError(error, 'missingObject') || !mayFound) throw error;
  }
  try {
    await createRepository({ ...stores, unlock, ...founding, now: clock.now() });
  } catch (error) {
    // Another instance of the app was first.
    if (!isHoldfastError(error, 'alreadyExists')) throw error;
  }
  return open();
}

interface Containers {
  readonly meta: AzureLockableStore;
  readonly data: AzureLockableStore;
}

async function openIn(
  { meta, data }: Containers,
  unlock: Unlock,
  { place, credential, clock }: Parts,
): Promise<InstalledRepository> {
  const issuer = new SasIssuer(place.blobEndpoint, credential, clock);
  const workerSas = (seconds: number) => issuer.forWorker(place.dataContainer, seconds);
  if (place.immutabilityDays === 0)
    return { ...(await openRepository({ meta, data, unlock })), place, locks: null, workerSas };
  const opened = await openVersioned({ meta, data, unlock });
  const locks = new PointLocks({
    meta,
    data,
    view: opened.meta,
    retentionDays: place.immutabilityDays,
    now: () => clock.now(),
  });
  return { ...opened, meta: locks.meta, place, locks, workerSas };
}

/**
 * Refuses containers that do not fit what was asked for: locks that would not hold, and containers that keep every version of
 * what collection removes, though nobody asked for locks.
 */
async function checkImmutability(
  { id, immutabilityDays }: RepositoryPlace,
  stores: Containers,
): Promise<void> {
  for (const store of [stores.meta, stores.data]) {
    const can = await store.canLock();
    if (can === immutabilityDays > 0) continue;
    const [what, todo] = can
      ? [
          'keeps immutable versions, and the repository is configured without immutability',
          'Set a period of immutability for the repository (HOLDFAST_IMMUTABILITY_DAYS for the default one), or use containers without it: it cannot be turned off for a container.',
        ]
      : [
          `does not have version-level immutability, and restore points are to be immutable for ${immutabilityDays} days`,
          'It can only be turned on for an empty container: use new containers that have it, or set the period to 0.',
        ];
    throw new HoldfastError('notConfigured', `Repository ${id}: container ${store.name} ${what}. ${todo}`, {
      target: store.name,
    });
  }
}

function containersOf(place: RepositoryPlace, credential: TokenCredential): Containers {
  const container = (name: string) => new AzureLockableStore(`${place.blobEndpoint}/${name}`, credential);
  return { meta: container(place.metaContainer), data: container(place.dataContainer) };
}

/** The containers, and what opens the repository: the Key Vault key where one is named, else the password. */
export async function repositoryAccess({
  place,
  credential,
  vault,
  vaultKeys,
}: Pick<Parts, 'place' | 'credential' | 'vault' | 'vaultKeys'>): Promise<RepositoryAccess> {
  const unlock =
    place.keyVaultKey === ''
      ? { password: await vault.getSecret(place.passwordSecret) }
      : { keyVault: vaultKeys };
  const { keyVaultKey, passwordSecret } = place;
  return { ...containersOf(place, credential), unlock, keyVaultKey, passwordSecret };
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
