import type { Installation, RepositoryAccess } from '../../installation/index.ts';
import { type ErrorCode, isHoldfastError } from '../../model/index.ts';
import {
  addSlot,
  adoptRepository,
  openRepository,
  protectionOf,
  type Repository,
  readOwner,
  rememberRepository,
  type Unlock,
} from '../../repository/index.ts';

export interface AdoptionAsked {
  /** Name of the secret with its password; default: what the service opens its repository with. */
  readonly passwordSecret?: string | undefined;
  /** The installation that is believed to own it, which is to lose it. */
  readonly takeOver?: string | undefined;
  /** Make a lost or damaged descriptor again from a chain's copy of the key slots. */
  readonly recover?: boolean | undefined;
}

/** What would be adopted, and from whom. */
export interface Adoptable {
  readonly id: string;
  readonly mode: string;
  readonly protection: string;
  /** Null: nobody's. `seenAt`: when that installation last said that it is there, exact to about an hour. */
  readonly owner: { readonly installation: string; readonly since: string; readonly seenAt: string } | null;
  /** The owner is another installation: it must be named to be taken over. */
  readonly needsTakeOver: boolean;
  /** The repository that this installation knows until now, when it is another one. */
  readonly replaces: string | null;
}

/** Says what there is to adopt in the containers of the settings, and changes nothing. */
export async function previewAdoption(installation: Installation, asked: AdoptionAsked): Promise<Adoptable> {
  const { meta, data } = await installation.repositoryAccess();
  const repository = await openRepository({ meta, data, unlock: await unlockOf(installation, asked) });
  const owner = await readOwner(repository);
  const known = await installation.catalog.installation.repository();
  return {
    id: repository.id,
    mode: repository.mode,
    protection: protectionOf(repository.mode),
    owner: owner && {
      installation: owner.installation,
      since: owner.since,
      seenAt: owner.seenAt.toISOString(),
    },
    needsTakeOver: owner !== null && owner.installation !== (await installation.identity()).id,
    replaces: known && known.id !== repository.id ? known.id : null,
  };
}

/**
 * Becomes the owner of the repository in the containers of the settings, whoever made it, and remembers it in place of what
 * was known. The catalog is empty of it until a rescan. May be repeated; nothing is written when it is refused.
 *
 * @throws `notOwner` with the owner and when it was last seen; `wrongPassword`; `missingObject`
 */
export async function adoptOwnRepository(
  installation: Installation,
  asked: AdoptionAsked,
): Promise<{ repository: Repository; takenFrom: string | null }> {
  const { catalog, clock, telemetry } = installation;
  const own = await installation.repositoryAccess();
  const unlock = await unlockOf(installation, asked);
  const { id } = await installation.identity();
  const adopted = await adoptRepository({
    meta: own.meta,
    data: own.data,
    unlock,
    installation: id,
    now: clock.now(),
    takeOver: asked.takeOver,
    recover: asked.recover,
  });
  const repository = await letServiceIn(installation, adopted.repository, unlock, own);
  await catalog.installation.forgetRepository();
  await catalog.installation.recognise(rememberRepository(repository));
  installation.reopenRepository();
  const { takenFrom } = adopted;
  telemetry.event('holdfast.repository.adopted', { repositoryId: repository.id, takenFrom });
  return { repository, takenFrom };
}

async function unlockOf(installation: Installation, { passwordSecret }: AdoptionAsked): Promise<Unlock> {
  if (passwordSecret === undefined) return (await installation.repositoryAccess()).unlock;
  return { password: await installation.vault.getSecret(passwordSecret) };
}

/** Of an own way in that is not this repository's: no such password, no slot, no such key, another vault. */
const SHUT_OUT: ReadonlySet<ErrorCode> = new Set([
  'wrongPassword',
  'notConfigured',
  'notFound',
  'accessDenied',
]);

/** Where the service's own way in does not open the repository, a slot is added that it opens. */
async function letServiceIn(
  installation: Installation,
  repository: Repository,
  unlock: Unlock,
  own: RepositoryAccess,
): Promise<Repository> {
  const { meta, data } = repository;
  try {
    return await openRepository({ meta, data, unlock: own.unlock });
  } catch (error) {
    if (!isHoldfastError(error) || !SHUT_OUT.has(error.code) || 'mode' in own.unlock) throw error;
  }
  const { id } = await installation.identity();
  const { vaultKeys } = installation;
  const material =
    'password' in own.unlock ? own.unlock : { keyVault: vaultKeys, key: vaultKeys.keyId(own.keyVaultKey) };
  return (await addSlot({ meta, data, unlock, id: `app-${id}`, material })).repository;
}
