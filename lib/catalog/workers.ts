import { z } from 'zod';
import { workerSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { keyPart, numberKey } from './keys.ts';
import { Rows, type Versioned } from './rows.ts';

/** A worker as its row holds it: what everybody sees of it, and how its launch goes. */
const workerRowSchema = workerSchema.extend({
  /** Which step of the ladder of sizes and zones is being tried, from 0. */
  rung: z.number().int().nonnegative(),
  /** Machines of this launch that never reported and were replaced. */
  replaced: z.number().int().nonnegative(),
  /** Why earlier tries of this launch failed, for people. */
  reasons: z.array(z.string()),
  /** While it is being released: what becomes of its VM. */
  keep: z.boolean(),
  /** What was last asked of the cloud for the VM and has not been seen to end; opaque, null for nothing. */
  pending: z.unknown(),
});
export type WorkerRow = z.infer<typeof workerRowSchema>;

/** The slots of worker pools. Which slot is whose is decided in lib/workers. */
export class Workers {
  readonly #rows: Rows<WorkerRow>;

  constructor(table: EntityTable) {
    this.#rows = new Rows(table, workerRowSchema);
  }

  get(pool: string, slot: number): Promise<Versioned<WorkerRow> | null> {
    return this.#rows.get(keyPart(pool), numberKey(slot));
  }

  /** `alreadyExists` if the slot has a row. */
  insert(worker: WorkerRow): Promise<Versioned<WorkerRow>> {
    return this.#rows.insert(keyPart(worker.pool), numberKey(worker.slot), worker);
  }

  /** `preconditionFailed` if the row has moved on. */
  replace(worker: WorkerRow, etag: string): Promise<Versioned<WorkerRow>> {
    return this.#rows.replace(keyPart(worker.pool), numberKey(worker.slot), worker, etag);
  }

  /** See `Rows.update`. */
  update(pool: string, slot: number, mutate: (worker: WorkerRow) => WorkerRow): Promise<WorkerRow> {
    return this.#rows.update(keyPart(pool), numberKey(slot), mutate);
  }

  /** Slots of a pool in order; of all pools without one. */
  async list(pool?: string): Promise<Versioned<WorkerRow>[]> {
    const range = pool === undefined ? {} : { partition: keyPart(pool) };
    return this.#rows.all(range);
  }

  /** The worker whose VM has this identity (the `oid` of its tokens). */
  async byPrincipal(principalId: string): Promise<WorkerRow | null> {
    const wanted = principalId.toLowerCase();
    for await (const { value } of this.#rows.list({})) {
      if (value.principalId?.toLowerCase() === wanted) return value;
    }
    return null;
  }
}
