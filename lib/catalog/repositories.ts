import { HoldfastError, type RepositoryPlace, repositoryPlaceSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { keyPart } from './keys.ts';
import { contend, Rows } from './rows.ts';

const PARTITION = 'repositories';

/** Where the installation's further repositories are. The one that the settings name has no row. */
export class Repositories {
  readonly #rows: Rows<RepositoryPlace>;

  constructor(table: EntityTable) {
    this.#rows = new Rows(table, repositoryPlaceSchema);
  }

  async get(id: string): Promise<RepositoryPlace | null> {
    return (await this.#rows.get(PARTITION, keyPart(id)))?.value ?? null;
  }

  /** In order of id. */
  list(): Promise<RepositoryPlace[]> {
    return this.#rows.values({ partition: PARTITION });
  }

  /** Writes a row, whatever was there. */
  put(place: RepositoryPlace): Promise<RepositoryPlace> {
    const row = keyPart(place.id);
    return contend(`repository ${place.id}`, async () => {
      const current = await this.#rows.get(PARTITION, row);
      return current
        ? (await this.#rows.replace(PARTITION, row, place, current.etag)).value
        : (await this.#rows.insert(PARTITION, row, place)).value;
    });
  }

  /** `notFound` if there is none. The objects of the repository are no business of this. */
  async remove(id: string): Promise<void> {
    if (!(await this.get(id)))
      throw new HoldfastError('notFound', `There is no repository ${id}.`, { target: id });
    await this.#rows.remove(PARTITION, keyPart(id));
  }
}
