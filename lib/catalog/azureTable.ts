import type { TokenCredential } from '@azure/core-auth';
import {
  odata,
  TableClient,
  type TableServiceClientOptions,
  type TransactionAction,
} from '@azure/data-tables';
import {
  type BatchAction,
  type Entity,
  type EntityRange,
  type EntityTable,
  MAX_BATCH,
  type StoredEntity,
} from './entityTable.ts';
import { assertKey } from './keys.ts';
import { movedOn, tooMany } from './memoryTable.ts';
import { fromProperties, toProperties } from './properties.ts';
import { odataCode, statusOf, tableError } from './tableErrors.ts';

export interface TableSettings {
  /** The table endpoint of the account: `https://<account>.table.core.windows.net`, or an emulator's with the account as path. */
  readonly url: string;
  readonly credential: TokenCredential;
  /** Of the SDK's pipeline: retries, TLS, policies. */
  readonly options?: TableServiceClientOptions;
}

/** Tables of one storage account, for `openCatalog`. */
export const azureTables =
  (settings: TableSettings) =>
  (name: string): EntityTable =>
    new AzureTable(name, settings);

/** Longest a single call may take, with the SDK's retries; an activity has 60 s for all it does. */
const CALL_MS = 30_000;

/** An `EntityTable` in Azure Table Storage. The table is created when a call finds it missing. */
export class AzureTable implements EntityTable {
  readonly name: string;
  readonly #client: TableClient;

  constructor(name: string, { url, credential, options }: TableSettings) {
    this.name = name;
    this.#client = new TableClient(url, name, credential, options);
  }

  async get(partition: string, row: string): Promise<StoredEntity | null> {
    assertKey(this.name, partition, row);
    return this.#call(partition, row, async (abortSignal) => {
      try {
        return stored(await this.#client.getEntity(partition, row, { abortSignal }));
      } catch (error) {
        if (entityMissing(error)) return null;
        throw error;
      }
    });
  }

  async insert(entity: Entity): Promise<string> {
    const { partition, row } = entity;
    const body = this.#body(entity);
    return this.#call(partition, row, async (abortSignal) =>
      etagOf(await this.#client.createEntity(body, { abortSignal })),
    );
  }

  async update(entity: Entity, etag: string): Promise<string> {
    const { partition, row } = entity;
    const body = this.#body(entity);
    return this.#call(partition, row, async (abortSignal) => {
      try {
        return etagOf(await this.#client.updateEntity(body, 'Replace', { etag, abortSignal }));
      } catch (error) {
        throw entityMissing(error) ? movedOn(this.name, partition, row) : error;
      }
    });
  }

  async remove(partition: string, row: string, etag: string): Promise<void> {
    assertKey(this.name, partition, row);
    await this.#call(partition, row, async (abortSignal) => {
      try {
        await this.#client.deleteEntity(partition, row, { etag, abortSignal });
      } catch (error) {
        if (!entityMissing(error)) throw error;
      }
    });
  }

  async *query(range: EntityRange): AsyncIterable<StoredEntity> {
    const filter = filterOf(range);
    const options = {
      ...(filter === '' ? {} : { queryOptions: { filter } }),
      requestOptions: { timeout: CALL_MS },
    };
    const pages = () => this.#client.listEntities(options);
    const where = range.partition ?? '*';
    let iterator = pages();
    // The first page tells whether there is a table; what comes later continues on the service's own marker.
    let next = await this.#call(where, range.from ?? '*', () => {
      iterator = pages();
      return iterator.next();
    });
    while (!next.done) {
      yield stored(next.value);
      next = await this.#call(where, range.from ?? '*', () => iterator.next());
    }
  }

  async batch(partition: string, actions: readonly BatchAction[]): Promise<void> {
    if (actions.length > MAX_BATCH) throw tooMany(this.name, actions.length);
    if (actions.length === 0) return;
    const steps = actions.map((action) => this.#step(partition, action));
    const [first] = actions;
    const row = first?.kind === 'remove' ? first.row : (first?.entity.row ?? '');
    await this.#call(partition, row, async (abortSignal) => {
      try {
        await this.#client.submitTransaction(steps, { abortSignal });
      } catch (error) {
        throw entityMissing(error) ? movedOn(this.name, partition, row) : error;
      }
    });
  }

  #step(partition: string, action: BatchAction): TransactionAction {
    if (action.kind === 'remove') {
      assertKey(this.name, partition, action.row);
      return ['delete', { partitionKey: partition, rowKey: action.row }];
    }
    const body = this.#body({ partition, ...action.entity });
    return action.kind === 'insert' ? ['create', body] : ['update', body, 'Replace', { etag: action.etag }];
  }

  #body(entity: Entity): { partitionKey: string; rowKey: string } {
    assertKey(this.name, entity.partition, entity.row);
    return {
      ...toProperties(this.name, entity),
      partitionKey: entity.partition,
      rowKey: entity.row,
    };
  }

  /** Runs a call within its time, creates the table if it is missing, and translates what is thrown. */
  async #call<T>(partition: string, row: string, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      try {
        return await call(AbortSignal.timeout(CALL_MS));
      } catch (error) {
        if (odataCode(error) !== 'TableNotFound') throw error;
        await this.#client.createTable({ abortSignal: AbortSignal.timeout(CALL_MS) });
        return await call(AbortSignal.timeout(CALL_MS));
      }
    } catch (error) {
      throw tableError(error, this.name, partition, row);
    }
  }
}

const entityMissing = (error: unknown): boolean =>
  statusOf(error) === 404 && odataCode(error) !== 'TableNotFound';

const etagOf = ({ etag }: { etag?: string }): string => etag ?? '';

function stored(entity: Readonly<Record<string, unknown>>): StoredEntity {
  return {
    partition: String(entity['partitionKey']),
    row: String(entity['rowKey']),
    etag: String(entity['etag']),
    ...fromProperties(entity),
  };
}

function filterOf({ partition, from, before }: EntityRange): string {
  const terms: string[] = [];
  if (partition !== undefined) terms.push(odata`PartitionKey eq ${partition}`);
  if (from !== undefined) terms.push(odata`RowKey ge ${from}`);
  if (before !== undefined) terms.push(odata`RowKey lt ${before}`);
  return terms.join(' and ');
}
