import type { Installation } from '../../installation/index.ts';
import { DEFAULT_REPOSITORY, HoldfastError, type RepositoryPlace } from '../../model/index.ts';
import { rememberRepository } from '../../repository/index.ts';
import { repositoriesOf } from '../policyRun/storage.ts';
import { findState } from '../state.ts';

/** A repository of the installation, as far as the catalog knows it. */
export interface KnownRepository extends RepositoryPlace {
  /** Its own id; null while it was never opened. */
  readonly repositoryId: string | null;
  readonly encryption: string | null;
  /** Machines that have a chain there. */
  readonly chains: number;
}

/** All repositories of the installation, the one of the settings first. */
export async function listRepositories(installation: Installation): Promise<KnownRepository[]> {
  const places = await installation.repositoryPlaces();
  return Promise.all(places.map((place) => describe(installation, place)));
}

/** One repository by its name. `notFound`. */
export async function findRepository(installation: Installation, id: string): Promise<KnownRepository> {
  const place = (await installation.repositoryPlaces()).find((one) => one.id === id);
  if (place) return describe(installation, place);
  throw new HoldfastError('notFound', `There is no repository ${id}.`, { target: id });
}

/**
 * Registers a repository under a name, or changes what is said of it: opens it, founding it where the containers are empty, and only
 * then keeps the row. One of another installation is refused, unless that one is named as `takeOver`. Restore points that it holds already are known after a rescan. May be repeated.
 *
 * @throws `wrongPassword`, `notOwner`, `notConfigured`; `repositoryMismatch`, or `missingObject` where the containers are empty, when
 * another repository is known under the name;
 * `conflict` when it is registered under another name, or the name is that of the settings
 */
export async function attachRepository(
  installation: Installation,
  place: RepositoryPlace,
  takeOver?: string,
): Promise<KnownRepository> {
  const { catalog } = installation;
  refuseDefault(place.id);
  const repository = await installation.tryRepository(place, takeOver);
  for (const { id } of await installation.repositoryPlaces()) {
    if (id === place.id || (await catalog.installation.repository(id))?.id !== repository.id) continue;
    throw new HoldfastError('conflict', `This repository is registered as ${id} already.`, { target: id });
  }
  await catalog.installation.recognise(rememberRepository(repository), place.id);
  await catalog.repositories.put(place);
  installation.reopenRepository(place.id);
  return describe(installation, place);
}

/**
 * Takes a repository out of the installation. Its objects stay where they are, with its restore points, which this installation does
 * not list any more; added again and rescanned, they are back. May be repeated until it is done. Returns how many points left the lists.
 *
 * @throws `conflict` while a policy names it, or a session works on it
 */
export async function detachRepository(installation: Installation, id: string): Promise<{ points: number }> {
  const { catalog } = installation;
  refuseDefault(id);
  if (!(await catalog.repositories.get(id)))
    throw new HoldfastError('notFound', `There is no repository ${id}.`, { target: id });
  await refuseInUse(installation, id);
  const known = await catalog.installation.repository(id);
  let points = 0;
  if (known) {
    await catalog.chains.forgetRepository(known.id);
    points = await catalog.points.forgetRepository(known.id);
    await catalog.installation.forgetRepository(id);
  }
  await catalog.repositories.remove(id);
  installation.reopenRepository(id);
  return { points };
}

/** `notFound`, with the first name that is no repository's here. */
export async function needRepositories(installation: Installation, ids: Iterable<string>): Promise<void> {
  const known = new Set((await installation.repositoryPlaces()).map(({ id }) => id));
  for (const id of ids) {
    if (known.has(id)) continue;
    throw new HoldfastError('notFound', `There is no repository ${id}; there are ${[...known].join(', ')}.`, {
      target: id,
    });
  }
}

function refuseDefault(id: string): void {
  if (id !== DEFAULT_REPOSITORY) return;
  throw new HoldfastError(
    'conflict',
    `The repository ${DEFAULT_REPOSITORY} is the one that the settings name; change it there.`,
    { target: id },
  );
}

async function refuseInUse(installation: Installation, id: string): Promise<void> {
  for (const { value: policy } of await installation.catalog.policies.list()) {
    if (!repositoriesOf(policy.storage).has(id)) continue;
    throw new HoldfastError(
      'conflict',
      `Policy ${policy.id} stores backups in repository ${id}. Change the policy first.`,
      { target: policy.id },
    );
  }
  for (const session of await installation.catalog.sessions.running()) {
    const request = (await findState(installation, session.id))?.request;
    const uses =
      request !== undefined &&
      (('repository' in request && request.repository === id) ||
        ('copies' in request && request.copies.includes(id)));
    if (!uses) continue;
    throw new HoldfastError(
      'conflict',
      `Session ${session.id} works on repository ${id}. Wait for it, or cancel it.`,
      { target: session.id },
    );
  }
}

async function describe({ catalog }: Installation, place: RepositoryPlace): Promise<KnownRepository> {
  const known = await catalog.installation.repository(place.id);
  return {
    ...place,
    repositoryId: known?.id ?? null,
    encryption: known?.mode ?? null,
    chains: known ? (await catalog.chains.list(known.id)).length : 0,
  };
}
