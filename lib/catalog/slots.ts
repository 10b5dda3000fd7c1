import { z } from 'zod';
import { type Clock, flagSchema, HoldfastError, isHoldfastError, policyIdSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { joinKey, keyPart, keysUnder } from './keys.ts';
import { contend, Rows } from './rows.ts';

/** `claimed`: about to be started. `started`: its instance was. `done`: its run ended. `missed`: passed without a run. */
const slotStateSchema = z.enum(['claimed', 'started', 'done', 'missed']);
export type SlotState = z.infer<typeof slotStateSchema>;

const slotSchema = z.object({
  policyId: policyIdSchema,
  /** Of a calendar in the time of the machines' regions: the region. */
  region: z.string().nullable(),
  /** The moment that the calendar names, in UTC. */
  slot: z.iso.datetime(),
  state: slotStateSchema,
  /** The durable instance that runs it; null for a missed one. */
  instanceId: z.string().nullable(),
  /** Started after its time, for itself and the slots before it. */
  late: z.boolean(),
  /** What the run makes, and its flags: its own and those of the missed slots that it stands for. */
  makes: z.enum(['snapshot', 'backup']),
  flags: z.array(flagSchema),
  backupFlags: z.array(flagSchema),
  /** The later slot that does the work of a missed one. */
  coalescedInto: z.iso.datetime().nullable(),
  /** When the row came to its state. */
  since: z.iso.datetime(),
});
export type SlotRow = z.infer<typeof slotSchema>;

/** Whose slots: a policy's; where its calendar is in the time of the machines' regions, those of one region. */
export interface SlotsOf {
  readonly policyId: string;
  readonly region: string | null;
}

export interface SlotRun {
  readonly instanceId: string;
  readonly late: boolean;
  readonly makes: SlotRow['makes'];
  readonly flags: readonly SlotRow['flags'][number][];
  readonly backupFlags: readonly SlotRow['flags'][number][];
}

const lookedSchema = z.object({
  since: z.iso.datetime(),
  /** Slots before are nobody's: the policy was disabled, or not there. */
  from: z.iso.datetime(),
  calendar: z.string(),
});

const coveredSchema = z.object({
  /** When the machine came under the policy, as far as known: its first run, or just before it. */
  joinedAt: z.iso.datetime(),
  /** The newest slot for which it has a snapshot, and a restore point; null: none since it joined. */
  snapshot: z.iso.datetime().nullable(),
  backup: z.iso.datetime().nullable(),
});
/** Up to which slot of its policy a machine has what the slots wanted. */
export type Covered = z.infer<typeof coveredSchema>;

/** Which slots of a policy were taken care of. The row, not the instance id, makes a slot's run happen once. */
export class Slots {
  readonly #rows: Rows<SlotRow>;
  readonly #looked: Rows<z.infer<typeof lookedSchema>>;
  readonly #covered: Rows<Covered>;
  readonly #clock: Clock;

  constructor(table: EntityTable, clock: Clock) {
    this.#rows = new Rows(table, slotSchema);
    this.#looked = new Rows(table, lookedSchema);
    this.#covered = new Rows(table, coveredSchema);
    this.#clock = clock;
  }

  /** Takes a slot before its instance is started. False if it was taken (or missed) before; `slot` is the row as it is. */
  async claim(of: SlotsOf, slot: Date, run: SlotRun): Promise<{ claimed: boolean; slot: SlotRow }> {
    return this.#create({
      ...this.#row(of, slot, 'claimed'),
      instanceId: run.instanceId,
      late: run.late,
      makes: run.makes,
      flags: [...run.flags],
      backupFlags: [...run.backupFlags],
    });
  }

  /** Records that a slot has no run of its own. A slot that has one stays as it is. */
  async miss(of: SlotsOf, slot: Date, coalescedInto: Date | null): Promise<void> {
    await this.#create({
      ...this.#row(of, slot, 'missed'),
      coalescedInto: coalescedInto?.toISOString() ?? null,
    });
  }

  /** Moves a slot forward: claimed -> started -> done. Never back; a missed one stays. `notFound` if there is no row. */
  advance(of: SlotsOf, slot: Date, state: 'started' | 'done'): Promise<SlotRow> {
    return this.#rows.update(...name(of, slot), (row) => {
      const settled = row.state === 'done' || row.state === 'missed' || row.state === state;
      return settled ? row : { ...row, state, since: this.#clock.now().toISOString() };
    });
  }

  async get(of: SlotsOf, slot: Date): Promise<SlotRow | null> {
    return (await this.#rows.get(...name(of, slot)))?.value ?? null;
  }

  /** Slots from `from` (included) on, in order of time. */
  async list(of: SlotsOf, from?: Date): Promise<SlotRow[]> {
    const range = keysUnder('slot', regionPart(of));
    return this.#rows.values({
      partition: keyPart(of.policyId),
      from: from ? name(of, from)[1] : range.from,
      before: range.before,
    });
  }

  /**
   * Up to when slots were looked at, of which calendar (a word that its owner makes of it), and from when on slots count;
   * null before the first look.
   */
  async looked(of: SlotsOf): Promise<{ since: Date; from: Date; calendar: string } | null> {
    const found = await this.#looked.get(keyPart(of.policyId), lookedName(of));
    if (!found) return null;
    const { since, from, calendar } = found.value;
    return { since: new Date(since), from: new Date(from), calendar };
  }

  /** The regions in which a policy's slots were ever looked at; null among them: those of no region. */
  async regions(policyId: string): Promise<(string | null)[]> {
    const range = keysUnder('looked');
    const found: (string | null)[] = [];
    for await (const { row } of this.#rows.table.query({ partition: keyPart(policyId), ...range })) {
      const part = row.slice(range.from.length);
      found.push(part === NO_REGION ? null : part);
    }
    return found;
  }

  /** Remembers up to when slots were looked at. With the same calendar it never goes back. */
  async look(of: SlotsOf, at: Date, calendar: string, { anew = false } = {}): Promise<void> {
    const partition = keyPart(of.policyId);
    const since = at.toISOString();
    await contend(`the slots of ${of.policyId}`, async () => {
      const current = await this.#looked.get(partition, lookedName(of));
      if (!current) {
        await this.#looked.insert(partition, lookedName(of), { since, from: since, calendar });
        return;
      }
      const { value, etag } = current;
      if (!anew && value.calendar === calendar && value.since >= since) return;
      const next = { since, from: anew ? since : value.from, calendar };
      await this.#looked.replace(partition, lookedName(of), next, etag);
    });
  }

  /** Slots claimed longer than `ms` ago whose instance was not seen to start. */
  async stale(of: SlotsOf, from: Date, ms: number): Promise<SlotRow[]> {
    const limit = this.#clock.now().getTime() - ms;
    return (await this.list(of, from)).filter(
      (row) => row.state === 'claimed' && Date.parse(row.since) <= limit,
    );
  }

  /** Forgets slots of all policies before `before`, also of policies that are gone, while `goOn`. Returns how many. */
  async forget(before: Date, goOn: () => boolean): Promise<number> {
    let forgotten = 0;
    for await (const entity of this.#rows.table.query(keysUnder('slot'))) {
      if (!goOn()) break;
      const { slot } = this.#rows.read(entity).value;
      if (Date.parse(slot) >= before.getTime()) continue;
      await this.#rows.table.remove(entity.partition, entity.row, entity.etag);
      forgotten++;
    }
    return forgotten;
  }

  async covered(policyId: string, machineId: string): Promise<Covered | null> {
    return (await this.#covered.get(keyPart(policyId), coveredName(machineId)))?.value ?? null;
  }

  /** Notes that a machine is under a policy from `at` on; what is known of it stays. */
  async join(policyId: string, machineId: string, at: Date): Promise<Covered> {
    const value: Covered = { joinedAt: at.toISOString(), snapshot: null, backup: null };
    const found = await this.covered(policyId, machineId);
    if (found) return found;
    try {
      return (await this.#covered.insert(keyPart(policyId), coveredName(machineId), value)).value;
    } catch (error) {
      if (!isHoldfastError(error, 'alreadyExists')) throw error;
      return (await this.covered(policyId, machineId)) ?? value;
    }
  }

  /** Notes that a machine has what its slots wanted up to `slot`; a backup has a snapshot too. Never goes back. */
  async cover(policyId: string, machineId: string, slot: Date, made: SlotRow['makes']): Promise<void> {
    await this.join(policyId, machineId, slot);
    const at = slot.toISOString();
    const later = (known: string | null) => (known !== null && known > at ? known : at);
    await this.#covered.update(keyPart(policyId), coveredName(machineId), (row) => ({
      ...row,
      snapshot: later(row.snapshot),
      backup: made === 'backup' ? later(row.backup) : row.backup,
    }));
  }

  async #create(row: SlotRow): Promise<{ claimed: boolean; slot: SlotRow }> {
    const slot = new Date(row.slot);
    try {
      return { claimed: true, slot: (await this.#rows.insert(...name(row, slot), row)).value };
    } catch (error) {
      if (!isHoldfastError(error, 'alreadyExists')) throw error;
    }
    const found = await this.get(row, slot);
    if (!found)
      throw new HoldfastError('conflict', `Slot ${row.slot} of ${row.policyId} was just forgotten.`);
    return { claimed: false, slot: found };
  }

  #row({ policyId, region }: SlotsOf, slot: Date, state: SlotState): SlotRow {
    const since = this.#clock.now().toISOString();
    return {
      policyId,
      region,
      slot: slot.toISOString(),
      state,
      instanceId: null,
      late: false,
      makes: 'backup',
      flags: [],
      backupFlags: [],
      coalescedInto: null,
      since,
    };
  }
}

/** No region's name. */
const NO_REGION = '-';
const regionPart = ({ region }: SlotsOf): string => region ?? NO_REGION;
const lookedName = (of: SlotsOf): string => joinKey('looked', regionPart(of));
const coveredName = (machineId: string): string => joinKey('covered', machineId);
const name = (of: SlotsOf, slot: Date): [string, string] => [
  keyPart(of.policyId),
  joinKey('slot', regionPart(of), slot.toISOString()),
];
