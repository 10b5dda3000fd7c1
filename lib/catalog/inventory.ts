import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { isHoldfastError, type Machine, machineSchema } from '../model/index.ts';
import type { BatchAction, EntityTable } from './entityTable.ts';
import { joinKey, keyPart } from './keys.ts';
import { Rows, type Versioned } from './rows.ts';

const knownMachineSchema = z.object({
  /** As it was last listed; its power state is not kept. */
  machine: machineSchema,
  firstSeenAt: z.iso.datetime(),
  /** The first complete listing without it; null: it was in the last one. */
  goneAt: z.iso.datetime().nullable(),
  /** The policy that it belongs to, and since when; null: none. */
  owner: z.object({ policyId: z.string(), since: z.iso.datetime() }).nullable(),
});
/** A machine as the last listings showed it, and to which policy it belongs. */
export type KnownMachine = z.infer<typeof knownMachineSchema>;

const groupSchema = z.object({ subscriptions: z.array(z.string()) });

/** Rows of one write: with all the tags that Azure allows, so many fit into it. */
const BATCH = 50;
/** A machine that was not listed for so long is forgotten. Until then it keeps its place when it comes back. */
const FORGET_MS = 7 * 24 * 3600_000;
const GROUPS = 'managementGroups';
const partitionOf = (subscriptionId: string): string => joinKey('subscription', subscriptionId.toLowerCase());

/**
 * What was seen of the tenant: machines by subscription, and the subscriptions below management groups. So that a listing that
 * fails makes no machine vanish, and that it is known since when a machine belongs to its policy. Written only where something
 * changed.
 */
export class Inventory {
  readonly #machines: Rows<KnownMachine>;
  readonly #groups: Rows<z.infer<typeof groupSchema>>;

  constructor(table: EntityTable) {
    this.#machines = new Rows(table, knownMachineSchema);
    this.#groups = new Rows(table, groupSchema);
  }

  /** The machines that the last listing of a subscription had, and those that are gone and not yet forgotten. */
  async list(subscriptionId: string): Promise<KnownMachine[]> {
    return (await this.#all(subscriptionId)).map(({ value }) => value);
  }

  /** Takes a complete listing of a subscription. Returns what is known of those that are there. */
  async record(subscriptionId: string, listed: readonly Machine[], now: Date): Promise<KnownMachine[]> {
    const before = new Map((await this.#all(subscriptionId)).map((row) => [row.value.machine.id, row]));
    const there: KnownMachine[] = [];
    const writes: Write[] = [];
    // A listing that changes while it is paged may say a machine twice.
    for (const found of new Map(listed.map((one) => [one.id, one])).values()) {
      const machine: Machine = { ...found, powerState: 'unknown' };
      const row = before.get(machine.id);
      before.delete(machine.id);
      const next: KnownMachine = row
        ? { ...row.value, machine, goneAt: null }
        : { machine, firstSeenAt: now.toISOString(), goneAt: null, owner: null };
      writes.push({ row, next });
      there.push(next);
    }
    for (const row of before.values()) {
      const { goneAt } = row.value;
      if (goneAt === null) writes.push({ row, next: { ...row.value, goneAt: now.toISOString() } });
      else if (now.getTime() - Date.parse(goneAt) > FORGET_MS)
        await this.#machines.remove(partitionOf(subscriptionId), keyPart(row.value.machine.id));
    }
    await this.#writeAll(partitionOf(subscriptionId), writes);
    return there;
  }

  /** Notes to which policy a machine belongs from now on; as before: nothing is written. Returns what is then known of it. */
  async assign(known: KnownMachine, policyId: string | null, now: Date): Promise<KnownMachine> {
    if ((known.owner?.policyId ?? null) === policyId) return known;
    const owner = policyId === null ? null : { policyId, since: now.toISOString() };
    const { subscriptionId, id } = known.machine;
    try {
      return await this.#machines.update(partitionOf(subscriptionId), keyPart(id), (current) =>
        (current.owner?.policyId ?? null) === policyId ? current : { ...current, owner },
      );
    } catch (error) {
      if (!isHoldfastError(error, 'notFound')) throw error;
      return { ...known, owner };
    }
  }

  /** The subscriptions that were last seen below a management group; null: it was never read. */
  async below(managementGroup: string): Promise<string[] | null> {
    const row = await this.#groups.get(GROUPS, keyPart(managementGroup.toLowerCase()));
    return row?.value.subscriptions ?? null;
  }

  async recordBelow(managementGroup: string, subscriptions: readonly string[]): Promise<void> {
    const row = keyPart(managementGroup.toLowerCase());
    const known = await this.#groups.get(GROUPS, row);
    const next = { subscriptions: subscriptions.toSorted() };
    if (known && isDeepStrictEqual(known.value, next)) return;
    await unlessRaced(() =>
      known ? this.#groups.replace(GROUPS, row, next, known.etag) : this.#groups.insert(GROUPS, row, next),
    );
  }

  #all(subscriptionId: string): Promise<Versioned<KnownMachine>[]> {
    return this.#machines.all({ partition: partitionOf(subscriptionId) });
  }

  /** Many at once; where another look got in between, one by one. */
  async #writeAll(partition: string, writes: readonly Write[]): Promise<void> {
    const changed = writes.filter(({ row, next }) => !row || !isDeepStrictEqual(row.value, next));
    for (let at = 0; at < changed.length; at += BATCH) {
      const some = changed.slice(at, at + BATCH);
      try {
        await this.#machines.table.batch(partition, some.map(actionOf));
      } catch (error) {
        if (!isRace(error)) throw error;
        for (const one of some)
          await unlessRaced(() => this.#machines.table.batch(partition, [actionOf(one)]));
      }
    }
  }
}

interface Write {
  readonly row: Versioned<KnownMachine> | undefined;
  readonly next: KnownMachine;
}

function actionOf({ row, next }: Write): BatchAction {
  const entity = { row: keyPart(next.machine.id), document: knownMachineSchema.parse(next) };
  return row ? { kind: 'update', entity, etag: row.etag } : { kind: 'insert', entity };
}

const isRace = (error: unknown): boolean =>
  isHoldfastError(error, 'preconditionFailed') || isHoldfastError(error, 'alreadyExists');

/** Another look at the same time has written the same, or the next one will. */
async function unlessRaced(write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!isRace(error)) throw error;
  }
}
