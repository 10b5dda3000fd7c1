import { z } from 'zod';
import { HoldfastError } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { joinKey, keyPart } from './keys.ts';
import { contend } from './rows.ts';

const PARTITION = 'installation';

/** What the installation remembers of a repository, so that another one, or an older one, is not taken for it. */
const repositoryFactsSchema = z.object({
  id: z.string(),
  mode: z.string(),
  /** Fingerprint of the master key; null for a repository without encryption. */
  fingerprint: z.string().nullable(),
  /** Counter of the descriptor: grows with each change of its key slots. */
  counter: z.number().int().nonnegative(),
});
export type RepositoryFacts = z.infer<typeof repositoryFactsSchema>;

/** Facts of this installation, by name. Small, few, and not secret. */
export class Installation {
  readonly #table: EntityTable;

  constructor(table: EntityTable) {
    this.#table = table;
  }

  async get<T>(name: string, schema: z.ZodType<T>): Promise<T | null> {
    const entity = await this.#table.get(PARTITION, keyPart(name));
    return entity ? schema.parse(entity.document) : null;
  }

  /** Writes a fact, whatever was there. */
  async put(name: string, value: unknown): Promise<void> {
    const entity = { partition: PARTITION, row: keyPart(name), document: value };
    await contend(`installation fact ${name}`, async () => {
      const current = await this.#table.get(PARTITION, entity.row);
      if (current) await this.#table.update(entity, current.etag);
      else await this.#table.insert(entity);
    });
  }

  /** Writes a fact if there is none, and returns the one that holds: everybody who asks at once gets the same. */
  putOnce<T>(name: string, schema: z.ZodType<T>, value: T): Promise<T> {
    return contend(`installation fact ${name}`, async () => {
      const current = await this.get(name, schema);
      if (current !== null) return current;
      await this.#table.insert({ partition: PARTITION, row: keyPart(name), document: value });
      return value;
    });
  }

  async repository(alias = 'default'): Promise<RepositoryFacts | null> {
    return this.get(joinKey('repository', alias), repositoryFactsSchema);
  }

  /**
   * Compares a repository that was opened with what is remembered under `alias`, and remembers it at the first time. Throws
   * `repositoryMismatch` when it is another repository, has another mode or key, or went back in time.
   */
  async recognise(facts: RepositoryFacts, alias = 'default'): Promise<void> {
    const name = joinKey('repository', alias);
    const known = await this.putOnce(name, repositoryFactsSchema, facts);
    const fault = difference(known, facts);
    if (fault !== null) {
      throw new HoldfastError(
        'repositoryMismatch',
        `Repository ${facts.id} is not the one this installation knows: ${fault}. If this is intended, register it anew.`,
        { target: facts.id },
      );
    }
    if (facts.counter > known.counter) await this.put(name, facts);
  }

  /** The operator says that the repository under `alias` is another one from now on. */
  async forgetRepository(alias = 'default'): Promise<void> {
    const row = keyPart(joinKey('repository', alias));
    await contend(`installation fact ${alias}`, async () => {
      const current = await this.#table.get(PARTITION, row);
      if (current) await this.#table.remove(PARTITION, row, current.etag);
    });
  }
}

function difference(known: RepositoryFacts, seen: RepositoryFacts): string | null {
  if (known.id !== seen.id) return `its id was ${known.id}`;
  if (known.mode !== seen.mode) return `its mode was ${known.mode}, and is ${seen.mode}`;
  if (known.fingerprint !== seen.fingerprint) return 'its master key is another';
  if (seen.counter < known.counter) {
    return `its descriptor is older (${seen.counter}) than the last one seen (${known.counter})`;
  }
  return null;
}
