import type { TokenCredential } from '@azure/core-auth';
import type { KeyVault, KeyVaultKeys } from '../azure/index.ts';
import type { Catalog } from '../catalog/index.ts';
import { type Clock, DEFAULT_REPOSITORY, HoldfastError, type RepositoryPlace } from '../model/index.ts';
import type { InstalledRepository, RepositoryAccess } from './installation.ts';
import { type Once, once } from './once.ts';
import { defaultPlace, openOwnRepository, repositoryAccess, tryRepository } from './repository.ts';
import type { Settings } from './settings.ts';

interface Parts {
  readonly settings: Settings;
  readonly credential: TokenCredential;
  readonly vault: KeyVault;
  readonly vaultKeys: KeyVaultKeys;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/**
 * The repositories of an installation: `default`, which the settings name, and those that were registered in the catalog. Each is
 * opened once in a process, and anew when its row says something else: another process may have changed it.
 */
export class Repositories {
  readonly #parts: Parts;
  readonly #default: RepositoryPlace;
  /** Names of those that were opened, by their own ids. */
  readonly #names = new Map<string, string>();
  readonly #open = new Map<
    string,
    { readonly place: string; readonly repository: Once<InstalledRepository> }
  >();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#default = defaultPlace(parts.settings);
  }

  async places(): Promise<RepositoryPlace[]> {
    return [this.#default, ...(await this.#parts.catalog.repositories.list())];
  }

  async open(id: string = DEFAULT_REPOSITORY): Promise<InstalledRepository> {
    const place = await this.#place(id);
    const said = JSON.stringify(place);
    let known = this.#open.get(id);
    if (known?.place !== said) {
      known = { place: said, repository: once(() => openOwnRepository(this.#at(place))) };
      this.#open.set(id, known);
    }
    const repository = await known.repository();
    this.#names.set(repository.id, id);
    return repository;
  }

  async openById(repositoryId: string | null): Promise<InstalledRepository> {
    if (repositoryId === null) return this.open();
    for (const { id } of await this.places()) {
      const known = await this.#parts.catalog.installation.repository(id);
      if (known?.id === repositoryId) return this.open(id);
    }
    // The catalog may have been lost under way.
    const name = this.#names.get(repositoryId);
    if (name !== undefined) {
      const repository = await this.open(name);
      if (repository.id === repositoryId) return repository;
    }
    throw new HoldfastError(
      'notFound',
      `Repository ${repositoryId} is not registered in this installation any more. Add it again to use what it holds.`,
      { target: repositoryId },
    );
  }

  async access(id: string = DEFAULT_REPOSITORY): Promise<RepositoryAccess> {
    return repositoryAccess(this.#at(await this.#place(id)));
  }

  trial(place: RepositoryPlace, takeOver?: string): Promise<InstalledRepository> {
    return tryRepository(this.#at(place), takeOver);
  }

  forget(id: string = DEFAULT_REPOSITORY): void {
    this.#open.delete(id);
  }

  async #place(id: string): Promise<RepositoryPlace> {
    if (id === DEFAULT_REPOSITORY) return this.#default;
    const place = await this.#parts.catalog.repositories.get(id);
    if (place) return place;
    throw new HoldfastError(
      'notFound',
      `There is no repository ${id} in this installation; "repository list" shows those there are.`,
      { target: id },
    );
  }

  #at(place: RepositoryPlace): Parameters<typeof openOwnRepository>[0] {
    const { settings, ...parts } = this.#parts;
    return { ...parts, place, installation: settings.HOLDFAST_INSTALLATION_ID };
  }
}
