import { randomBytes, randomUUID } from 'node:crypto';
import { HoldfastError } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { createOnce, readIfThere } from './createOnce.ts';
import { missingObject } from './damage.ts';
import { type Descriptor, descriptorSchema, type Slot, type Unlock, unlockSlots } from './descriptor.ts';
import { authenticateDocument, encodeDocument, readDocument } from './document.ts';
import { wrapWithKeyVault } from './keySlots/keyVaultSlot.ts';
import { deriveKeys, type RepositoryKeys, type RepositoryMode } from './keys.ts';
import { DESCRIPTOR } from './names.ts';
import { type ScryptCost, wrapWithPassword } from './passwordSlot.ts';
import { FORMAT_VERSION } from './sealedObject.ts';

/** An open repository: its two containers and its keys. */
export interface Repository {
  readonly id: string;
  readonly mode: RepositoryMode;
  readonly counter: number;
  readonly slots: readonly Slot[];
  readonly keys: RepositoryKeys;
  /** Manifests, claims, trees: workers cannot reach it. */
  readonly meta: BlobStore;
  /** Packs and map objects. */
  readonly data: BlobStore;
}

/** What an installation remembers of its repository, so that no other one can be put in its place, nor an older state of it. */
export interface RememberedRepository {
  readonly id: string;
  readonly mode: RepositoryMode;
  readonly fingerprint: string;
  readonly counter: number;
}

export const rememberRepository = ({ id, mode, counter, keys }: Repository): RememberedRepository => ({
  id,
  mode,
  fingerprint: keys.fingerprint,
  counter,
});

export interface CreateRepository {
  readonly meta: BlobStore;
  readonly data: BlobStore;
  readonly unlock: Unlock;
  /** With `unlock: { keyVault }`: identifier of the key that is to wrap the master key. */
  readonly keyVaultKey?: string | undefined;
  readonly now: Date;
  /** Cost of a password guess; tests lower it. */
  readonly scrypt?: ScryptCost;
}

/** Founds a repository. `alreadyExists` when the container holds one. */
export async function createRepository({
  meta,
  data,
  unlock,
  keyVaultKey,
  now,
  scrypt,
}: CreateRepository): Promise<Repository> {
  if ('keyVault' in unlock && !keyVaultKey) {
    throw new HoldfastError('invalidInput', 'Name the Key Vault key that is to open the repository.', {
      target: 'keyVaultKey',
    });
  }
  const id = randomUUID();
  const master = 'mode' in unlock ? null : randomBytes(32);
  const keys = deriveKeys(master, id);
  const slots: Slot[] = [];
  if (master && 'password' in unlock)
    slots.push(await wrapWithPassword(master, id, 'password-1', unlock.password, scrypt));
  if (master && 'keyVault' in unlock)
    slots.push(await wrapWithKeyVault(master, id, 'key-vault-1', unlock.keyVault, keyVaultKey ?? ''));
  const descriptor: Descriptor = {
    format: FORMAT_VERSION,
    id,
    mode: keys.mode,
    counter: 1,
    createdAt: now.toISOString(),
    slots,
  };
  if (
    (await createOnce(meta, DESCRIPTOR, encodeDocument(keys.document, DESCRIPTOR, descriptor))) === 'taken'
  ) {
    throw new HoldfastError(
      'alreadyExists',
      `There is a repository in ${meta.name} already. Open it, or choose another container.`,
      {
        target: DESCRIPTOR,
      },
    );
  }
  return { id, mode: keys.mode, counter: 1, slots, keys, meta, data };
}

export interface OpenRepository {
  readonly meta: BlobStore;
  readonly data: BlobStore;
  readonly unlock: Unlock;
  /** Refuse any other repository, and an older state of this one. */
  readonly remembered?: RememberedRepository | undefined;
}

/**
 * Opens the repository in `meta`. Throws `missingObject` (no repository there), `wrongPassword`, `repositoryMismatch`
 * (another one than remembered, or rolled back), `corruptObject` with `repository` as target.
 */
export async function openRepository({
  meta,
  data,
  unlock,
  remembered,
}: OpenRepository): Promise<Repository> {
  const stored = await readIfThere(meta, DESCRIPTOR);
  if (!stored) throw missingObject(DESCRIPTOR, meta.name);
  const { id, mode, counter, slots } = readDocument(DESCRIPTOR, stored.bytes, descriptorSchema);
  refuseOther(meta, { id, mode }, remembered);
  const keys = deriveKeys(await unlockSlots({ id, mode, slots }, unlock, meta.name), id);
  authenticateDocument(keys.document, DESCRIPTOR, stored.bytes);
  refuseOther(meta, { id, mode, fingerprint: keys.fingerprint, counter }, remembered);
  return { id, mode, counter, slots, keys, meta, data };
}

/**
 * An open repository with its key slots and counter as they are now: somebody may have changed them since. One read, and no
 * way in is needed: the descriptor is authenticated under the key that is there. Throws as `openRepository` does.
 */
export async function refreshRepository<R extends Repository>(repository: R): Promise<R> {
  const { meta, keys } = repository;
  const stored = await readIfThere(meta, DESCRIPTOR);
  if (!stored) throw missingObject(DESCRIPTOR, meta.name);
  const { id, mode, counter, slots } = readDocument(DESCRIPTOR, stored.bytes, descriptorSchema);
  const remembered = rememberRepository(repository);
  refuseOther(meta, { id, mode }, remembered);
  authenticateDocument(keys.document, DESCRIPTOR, stored.bytes);
  refuseOther(meta, { id, mode, counter }, remembered);
  return { ...repository, counter, slots };
}

/**
 * Refuses a repository that is not the remembered one, as far as is known yet: id and mode before there is a key, then its
 * fingerprint, and the counter once the descriptor is authentic.
 */
export function refuseOther(
  meta: BlobStore,
  seen: Pick<RememberedRepository, 'id' | 'mode'> & Partial<RememberedRepository>,
  remembered: RememberedRepository | undefined,
): void {
  if (!remembered) return;
  const { id, mode, fingerprint, counter } = seen;
  if (remembered.id !== id || remembered.mode !== mode)
    throw mismatch(meta, `it is ${id} (${mode}), expected was ${remembered.id} (${remembered.mode})`);
  if (fingerprint !== undefined && remembered.fingerprint !== fingerprint)
    throw mismatch(meta, 'its master key is another one');
  if (counter !== undefined && remembered.counter > counter)
    throw mismatch(meta, `its descriptor was rolled back from state ${remembered.counter} to ${counter}`);
}

const mismatch = (meta: BlobStore, what: string): HoldfastError =>
  new HoldfastError(
    'repositoryMismatch',
    `The repository in ${meta.name} is not the one this installation knows: ${what}.`,
    {
      target: DESCRIPTOR,
    },
  );
