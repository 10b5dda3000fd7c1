import { HoldfastError, type Policy, policySchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { keyPart } from './keys.ts';
import { contend, Rows, type Versioned } from './rows.ts';

const PARTITION = 'policies';

/** Policies as people wrote them, with the etag that the API shows. */
export class Policies {
  readonly #rows: Rows<Policy>;

  constructor(table: EntityTable) {
    this.#rows = new Rows(table, policySchema);
  }

  get(id: string): Promise<Versioned<Policy> | null> {
    return this.#rows.get(PARTITION, keyPart(id));
  }

  /** In order of id. */
  async list(): Promise<Versioned<Policy>[]> {
    return this.#rows.all({ partition: PARTITION });
  }

  /**
   * Writes a policy: with `etag`, only over that version (`preconditionFailed`); with null, only if there is none
   * (`alreadyExists`); without, whatever is there.
   */
  async put(policy: Policy, etag?: string | null): Promise<Versioned<Policy>> {
    const row = keyPart(policy.id);
    if (etag === null) return this.#rows.insert(PARTITION, row, policy);
    if (etag !== undefined) return this.#rows.replace(PARTITION, row, policy, etag);
    return contend(`policy ${policy.id}`, async () => {
      const current = await this.get(policy.id);
      return current
        ? this.#rows.replace(PARTITION, row, policy, current.etag)
        : this.#rows.insert(PARTITION, row, policy);
    });
  }

  /**
   * Writes all of these or none, each over the version whose etag is given (`preconditionFailed`), or as a new one for null
   * (`alreadyExists`). At most 100.
   */
  async putAll(all: readonly { readonly policy: Policy; readonly etag: string | null }[]): Promise<void> {
    if (all.length === 0) return;
    await this.#rows.table.batch(
      PARTITION,
      all.map(({ policy, etag }) => {
        const entity = { row: keyPart(policy.id), document: policySchema.parse(policy) };
        return etag === null ? { kind: 'insert', entity } : { kind: 'update', entity, etag };
      }),
    );
  }

  /** Removes a policy; with `etag`, only that version of it. `notFound` if there is none. */
  async remove(id: string, etag?: string): Promise<void> {
    const current = await this.get(id);
    if (!current) throw new HoldfastError('notFound', `There is no policy ${id}.`, { target: id });
    if (etag === undefined) return this.#rows.remove(PARTITION, keyPart(id));
    await this.#rows.table.remove(PARTITION, keyPart(id), etag);
  }
}
