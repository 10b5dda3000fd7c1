import { HoldfastError } from '../model/index.ts';
import {
  type BatchAction,
  type Entity,
  type EntityRange,
  type EntityTable,
  MAX_BATCH,
  type StoredEntity,
} from './entityTable.ts';
import { assertKey } from './keys.ts';
import { fromProperties, type Properties, toProperties } from './properties.ts';

interface Held {
  readonly partition: string;
  readonly row: string;
  readonly properties: Properties;
  readonly etag: string;
}

/** An `EntityTable` that forgets at the end of the process. Each call takes effect at one moment, after a turn of the loop. */
export class MemoryTable implements EntityTable {
  readonly name: string;
  readonly #rows = new Map<string, Held>();
  /** The names in `#rows`, sorted, so that a query costs what it finds. */
  readonly #names: string[] = [];
  #writes = 0;

  constructor(name: string) {
    this.name = name;
  }

  async get(partition: string, row: string): Promise<StoredEntity | null> {
    assertKey(this.name, partition, row);
    await Promise.resolve();
    const held = this.#rows.get(id(partition, row));
    return held ? stored(held) : null;
  }

  async insert(entity: Entity): Promise<string> {
    const properties = this.#encode(entity);
    await Promise.resolve();
    this.#expectFree(entity.partition, entity.row);
    return this.#put(entity.partition, entity.row, properties);
  }

  async update(entity: Entity, etag: string): Promise<string> {
    const properties = this.#encode(entity);
    await Promise.resolve();
    this.#expect(entity.partition, entity.row, etag);
    return this.#put(entity.partition, entity.row, properties);
  }

  async remove(partition: string, row: string, etag: string): Promise<void> {
    assertKey(this.name, partition, row);
    await Promise.resolve();
    if (!this.#rows.has(id(partition, row))) return;
    this.#expect(partition, row, etag);
    this.#delete(id(partition, row));
  }

  async *query({ partition, from, before }: EntityRange): AsyncIterable<StoredEntity> {
    await Promise.resolve();
    const least = partition === undefined ? '' : id(partition, from ?? '');
    for (const name of this.#names.slice(this.#placeOf(least))) {
      const held = this.#rows.get(name);
      if (!held) continue;
      if (partition !== undefined && held.partition !== partition) {
        if (held.partition > partition) return;
        continue;
      }
      if (before !== undefined && held.row >= before) {
        if (partition !== undefined) return;
        continue;
      }
      if (from !== undefined && held.row < from) continue;
      yield stored(held);
      await Promise.resolve();
    }
  }

  async batch(partition: string, actions: readonly BatchAction[]): Promise<void> {
    if (actions.length > MAX_BATCH) throw tooMany(this.name, actions.length);
    const encoded = actions.map((action) =>
      action.kind === 'remove' ? {} : this.#encode({ partition, ...action.entity }),
    );
    await Promise.resolve();
    for (const action of actions) {
      if (action.kind === 'insert') this.#expectFree(partition, action.entity.row);
      else if (action.kind === 'update') this.#expect(partition, action.entity.row, action.etag);
      else this.#expect(partition, action.row);
    }
    for (const [at, action] of actions.entries()) {
      if (action.kind === 'remove') this.#delete(id(partition, action.row));
      else this.#put(partition, action.entity.row, encoded[at] ?? {});
    }
  }

  #encode(entity: Entity): Properties {
    assertKey(this.name, entity.partition, entity.row);
    const properties = toProperties(this.name, entity);
    return Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : Buffer.from(value),
      ]),
    );
  }

  #put(partition: string, row: string, properties: Properties): string {
    const etag = `"${++this.#writes}"`;
    const name = id(partition, row);
    if (!this.#rows.has(name)) this.#names.splice(this.#placeOf(name), 0, name);
    this.#rows.set(name, { partition, row, properties, etag });
    return etag;
  }

  #delete(name: string): void {
    if (this.#rows.delete(name)) this.#names.splice(this.#placeOf(name), 1);
  }

  /** Where a name is among the sorted ones, or would be. */
  #placeOf(name: string): number {
    let low = 0;
    for (let high = this.#names.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#names[middle] ?? '') < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #expectFree(partition: string, row: string): void {
    if (this.#rows.has(id(partition, row))) throw taken(this.name, partition, row);
  }

  #expect(partition: string, row: string, etag?: string): void {
    const held = this.#rows.get(id(partition, row));
    if (!held || (etag !== undefined && held.etag !== etag)) throw movedOn(this.name, partition, row);
  }
}

/** Below every character of a key, so that names sort by partition, then row. */
const id = (partition: string, row: string): string => `${partition}\u0000${row}`;

const stored = ({ partition, row, properties, etag }: Held): StoredEntity => ({
  partition,
  row,
  etag,
  ...fromProperties(properties),
});

export const taken = (table: string, partition: string, row: string): HoldfastError =>
  new HoldfastError('alreadyExists', `${partition}/${row} exists in table ${table}.`, {
    target: `${partition}/${row}`,
  });

export const movedOn = (table: string, partition: string, row: string): HoldfastError =>
  new HoldfastError(
    'preconditionFailed',
    `${partition}/${row} of table ${table} was changed or removed by somebody else.`,
    { target: `${partition}/${row}` },
  );

export const tooMany = (table: string, actions: number): HoldfastError =>
  new HoldfastError(
    'invalidInput',
    `${actions} actions do not fit one batch of table ${table}; it takes ${MAX_BATCH}.`,
  );
