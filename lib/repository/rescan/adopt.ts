import { HoldfastError, isHoldfastError } from '../../model/index.ts';
import { OWNER } from '../names.ts';
import { type Owner, readOwner, takeOwnership } from '../owner.ts';
import { recoverDescriptor } from '../recover.ts';
import { type OpenRepository, openRepository, type Repository } from '../repository.ts';

export interface AdoptRepository extends OpenRepository {
  readonly installation: string;
  readonly now: Date;
  /** Take the repository from the installation that owns it (or from this one only), which is fenced from then on. */
  readonly takeOver?: boolean | string | undefined;
  /** Make a lost descriptor again from a chain's copy of the key slots; a damaged one too. */
  readonly recover?: boolean | undefined;
}

export interface AdoptedRepository {
  readonly repository: Repository;
  /** Keep it: `assertOwner` wants the term as well as the name. */
  readonly owner: Owner;
  /** Who had it before, when it was taken over. */
  readonly takenFrom: string | null;
}

/**
 * Opens a repository that another installation (or none) made, and becomes its owner. Follow it with `rescan`, with nothing
 * remembered. `notOwner` when it belongs to another installation and `takeOver` is not said: nothing was written then.
 * May be called again.
 */
export async function adoptRepository(request: AdoptRepository): Promise<AdoptedRepository> {
  const { installation, now, takeOver = false, recover = false } = request;
  const repository = await open();
  const before = await readOwner(repository);
  const owner = await takeOwnership(repository, { installation, now, takeOver });
  const other = before !== null && before.installation !== installation;
  return { repository, owner, takenFrom: other ? before.installation : null };

  async function open(): Promise<Repository> {
    if (recover) return recoverDescriptor({ ...request, replaceDamaged: true });
    try {
      return await openRepository(request);
    } catch (error) {
      if (!isHoldfastError(error, 'missingObject') || !(await hasOwner())) throw error;
      throw new HoldfastError(
        'missingObject',
        `The descriptor of the repository in ${request.meta.name} is lost. Say that it is to be recovered: each chain carries a copy of the key slots.`,
        { target: error.target ?? OWNER, cause: error },
      );
    }
  }

  async function hasOwner(): Promise<boolean> {
    return (await request.meta.stat(OWNER)) !== null;
  }
}
