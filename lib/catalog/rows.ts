import type { z } from 'zod';
import { HoldfastError, isHoldfastError } from '../model/index.ts';
import type { EntityRange, EntityTable, StoredEntity } from './entityTable.ts';

/** A value and the etag of the row that it was read from. */
export interface Versioned<T> {
  readonly value: T;
  readonly etag: string;
}

/** Somebody wins each round of a contest, so that this many rounds are enough for as many contenders. */
const MAX_ROUNDS = 64;

/** Runs a read-modify-write anew, from its read, while another writer got in between. Then `conflict`, retryable. */
export async function contend<T>(what: string, round: () => Promise<T>): Promise<T> {
  for (let n = 0; n < MAX_ROUNDS; n++) {
    try {
      return await round();
    } catch (error) {
      if (!isHoldfastError(error, 'preconditionFailed') && !isHoldfastError(error, 'alreadyExists'))
        throw error;
    }
  }
  throw new HoldfastError('conflict', `${what} is being changed by too many at once; try again.`, {
    target: what,
    retryable: true,
  });
}

/** The rows of a table that hold values of one schema: parsed when read, and checked before they are written. */
export class Rows<T> {
  readonly table: EntityTable;
  readonly #schema: z.ZodType<T>;

  constructor(table: EntityTable, schema: z.ZodType<T>) {
    this.table = table;
    this.#schema = schema;
  }

  async get(partition: string, row: string): Promise<Versioned<T> | null> {
    const entity = await this.table.get(partition, row);
    return entity ? this.read(entity) : null;
  }

  /** `alreadyExists` if the row is taken. */
  async insert(partition: string, row: string, value: T): Promise<Versioned<T>> {
    const document = this.#schema.parse(value);
    return { value: document, etag: await this.table.insert({ partition, row, document }) };
  }

  /** `preconditionFailed` if the row has moved on. */
  async replace(partition: string, row: string, value: T, etag: string): Promise<Versioned<T>> {
    const document = this.#schema.parse(value);
    return { value: document, etag: await this.table.update({ partition, row, document }, etag) };
  }

  /**
   * Reads, changes and writes, again when somebody else wrote in between. `mutate` may therefore be called more than once,
   * and also on a row that already holds its own change; it returns its argument to leave the row as it is.
   * `notFound` if there is no such row.
   */
  update(partition: string, row: string, mutate: (value: T) => T | Promise<T>): Promise<T> {
    const what = `${partition}/${row}`;
    return contend(what, async () => {
      const current = await this.get(partition, row);
      if (!current) {
        throw new HoldfastError('notFound', `There is no ${what} in table ${this.table.name}.`, {
          target: what,
        });
      }
      const next = await mutate(current.value);
      if (next === current.value) return next;
      return (await this.replace(partition, row, next, current.etag)).value;
    });
  }

  /** Whatever its etag. A missing row is no error. */
  remove(partition: string, row: string): Promise<void> {
    return contend(`${partition}/${row}`, async () => {
      const entity = await this.table.get(partition, row);
      if (entity) await this.table.remove(partition, row, entity.etag);
    });
  }

  async *list(range: EntityRange): AsyncIterable<Versioned<T>> {
    for await (const entity of this.table.query(range)) yield this.read(entity);
  }

  /** All of a range at once, which the caller knows to be small. */
  async all(range: EntityRange): Promise<Versioned<T>[]> {
    const found: Versioned<T>[] = [];
    for await (const row of this.list(range)) found.push(row);
    return found;
  }

  async values(range: EntityRange): Promise<T[]> {
    return (await this.all(range)).map(({ value }) => value);
  }

  read(entity: StoredEntity): Versioned<T> {
    const parsed = this.#schema.safeParse(entity.document);
    if (parsed.success) return { value: parsed.data, etag: entity.etag };
    const target = `${entity.partition}/${entity.row}`;
    const [issue] = parsed.error.issues;
    throw new HoldfastError(
      'internal',
      `Row ${target} of table ${this.table.name} is not what this version writes: ${issue?.path.join('.')} ${issue?.message}`,
      { target, cause: parsed.error },
    );
  }
}
