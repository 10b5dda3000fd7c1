import { type PriceTable, priceTableSchema } from '../cost/index.ts';
import type { EntityTable } from './entityTable.ts';
import { contend, Rows } from './rows.ts';

const PARTITION = 'prices';
const ROW = 'table';

/** The price table that an operator has put in the place of the shipped one. */
export class Prices {
  readonly #rows: Rows<PriceTable>;

  constructor(table: EntityTable) {
    this.#rows = new Rows(table, priceTableSchema);
  }

  /** Null: the shipped one is in force. */
  async get(): Promise<PriceTable | null> {
    return (await this.#rows.get(PARTITION, ROW))?.value ?? null;
  }

  put(table: PriceTable): Promise<PriceTable> {
    return contend('the price table', async () => {
      const current = await this.#rows.get(PARTITION, ROW);
      return current
        ? (await this.#rows.replace(PARTITION, ROW, table, current.etag)).value
        : (await this.#rows.insert(PARTITION, ROW, table)).value;
    });
  }

  /** Back to the shipped one. */
  async remove(): Promise<void> {
    await this.#rows.remove(PARTITION, ROW);
  }
}
