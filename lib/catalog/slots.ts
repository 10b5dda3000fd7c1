import { z } from 'zod';
import { type Clock, HoldfastError, isHoldfastError, policyIdSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { joinKey, keyPart, keysUnder } from './keys.ts';
import { contend, Rows } from './rows.ts';

/** `claimed`: about to be started. `started`: its instance was. `done`: its run ended. `missed`: passed without a run. */
const slotStateSchema = z.enum(['claimed', 'started', 'done', 'missed']);
export type SlotState = z.infer<typeof slotStateSchema>;

const slotSchema = z.object({
  policyId: policyIdSchema,
  /** The moment that the calendar names, in UTC. */
  slot: z.iso.datetime(),
  state: slotStateSchema,
  /** The durable instance that runs it; null for a missed one. */
  instanceId: z.string().nullable(),
  /** Started after its time, for itself and the slots before it. */
  late: z.boolean(),
  /** Flags of the run, its own and those of the missed slots that it stands for. */
  flags: z.array(z.string()),
  /** The later slot that does the work of a missed one. */
  coalescedInto: z.iso.datetime().nullable(),
  /** When the row came to its state. */
  since: z.iso.datetime(),
});
export type Slot = z.infer<typeof slotSchema>;

/** Which slots of a policy were taken care of. The row, not the instance id, makes a slot's run happen once. */
export class Slots {
  readonly #rows: Rows<Slot>;
  readonly #clock: Clock;

  constructor(table: EntityTable, clock: Clock) {
    this.#rows = new Rows(table, slotSchema);
    this.#clock = clock;
  }

  /** Takes a slot before its instance is started. False if it was taken (or missed) before; `slot` is the row as it is. */
  async claim(
    policyId: string,
    slot: Date,
    run: { instanceId: string; late?: boolean; flags?: readonly string[] },
  ): Promise<{ claimed: boolean; slot: Slot }> {
    return this.#create({
      ...this.#row(policyId, slot, 'claimed'),
      instanceId: run.instanceId,
      late: run.late ?? false,
      flags: [...(run.flags ?? [])],
    });
  }

  /** Records that a slot has no run of its own. A slot that has one stays as it is. */
  async miss(policyId: string, slot: Date, coalescedInto: Date | null): Promise<void> {
    await this.#create({
      ...this.#row(policyId, slot, 'missed'),
      coalescedInto: coalescedInto?.toISOString() ?? null,
    });
  }

  /** Moves a slot forward: claimed -> started -> done. Never back; a missed one stays. `notFound` if there is no row. */
  advance(policyId: string, slot: Date, state: 'started' | 'done'): Promise<Slot> {
    return this.#rows.update(...name(policyId, slot), (row) => {
      const settled = row.state === 'done' || row.state === 'missed' || row.state === state;
      return settled ? row : { ...row, state, since: this.#clock.now().toISOString() };
    });
  }

  async get(policyId: string, slot: Date): Promise<Slot | null> {
    return (await this.#rows.get(...name(policyId, slot)))?.value ?? null;
  }

  /** Slots of a policy from `from` (included) on, in order of time. */
  async list(policyId: string, from?: Date): Promise<Slot[]> {
    const range = keysUnder('slot');
    return this.#rows.values({
      partition: keyPart(policyId),
      from: from ? name(policyId, from)[1] : range.from,
      before: range.before,
    });
  }

  /** The newest slot that was claimed or missed; null before the first. */
  async latest(policyId: string): Promise<Date | null> {
    const row = await this.#rows.table.get(keyPart(policyId), LATEST);
    return row ? new Date(z.iso.datetime().parse(row.document)) : null;
  }

  /** Slots claimed longer than `ms` ago whose instance was not seen to start. */
  async stale(policyId: string, from: Date, ms: number): Promise<Slot[]> {
    const limit = this.#clock.now().getTime() - ms;
    return (await this.list(policyId, from)).filter(
      (row) => row.state === 'claimed' && Date.parse(row.since) <= limit,
    );
  }

  /** Forgets slots before `before`. */
  async prune(policyId: string, before: Date): Promise<void> {
    const [partition, row] = name(policyId, before);
    const { from } = keysUnder('slot');
    for await (const entity of this.#rows.table.query({ partition, from, before: row })) {
      await this.#rows.table.remove(partition, entity.row, entity.etag);
    }
  }

  async #create(row: Slot): Promise<{ claimed: boolean; slot: Slot }> {
    const slot = new Date(row.slot);
    let claimed = true;
    try {
      await this.#rows.insert(...name(row.policyId, slot), row);
    } catch (error) {
      if (!isHoldfastError(error, 'alreadyExists')) throw error;
      claimed = false;
    }
    await this.#advanceLatest(row.policyId, slot);
    if (claimed) return { claimed, slot: row };
    const found = await this.get(row.policyId, slot);
    if (!found)
      throw new HoldfastError('conflict', `Slot ${row.slot} of ${row.policyId} was just forgotten.`);
    return { claimed, slot: found };
  }

  async #advanceLatest(policyId: string, slot: Date): Promise<void> {
    const table = this.#rows.table;
    const entity = { partition: keyPart(policyId), row: LATEST, document: slot.toISOString() };
    await contend(`the latest slot of ${policyId}`, async () => {
      const current = await table.get(entity.partition, LATEST);
      if (!current) await table.insert(entity);
      else if (String(current.document) < entity.document) await table.update(entity, current.etag);
    });
  }

  #row(policyId: string, slot: Date, state: SlotState): Slot {
    const since = this.#clock.now().toISOString();
    return {
      policyId,
      slot: slot.toISOString(),
      state,
      instanceId: null,
      late: false,
      flags: [],
      coalescedInto: null,
      since,
    };
  }
}

const LATEST = 'latest';
const name = (policyId: string, slot: Date): [string, string] => [
  keyPart(policyId),
  joinKey('slot', slot.toISOString()),
];
