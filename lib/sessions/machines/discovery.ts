import type { KnownMachine } from '../../catalog/index.ts';
import { type Installation, OWNER_TAG } from '../../installation/index.ts';
import { HoldfastError, type Machine, type Scope, toFailure } from '../../model/index.ts';
import { type Places, placesIn, placesOf } from '../../scope/index.ts';
import { sideBySide } from '../sideBySide.ts';

/** Something that could not be looked at: what was seen there last stands in for it. */
export interface DiscoveryTrouble {
  readonly kind: 'subscription' | 'managementGroup';
  readonly id: string;
  /** For a person: what failed, and what stands in. */
  readonly message: string;
}

export interface Discovery {
  /** Each machine once, in the order of names. Our own workers are not among them. */
  readonly machines: readonly KnownMachine[];
  readonly places: Places;
  readonly troubles: readonly DiscoveryTrouble[];
}

/** Listings that run side by side. ARM counts reads by subscription, so that more of them cost no one anything. */
const LANES = 4;

/**
 * Looks once at all that the installation protects and that the scopes name beside it. What cannot be listed is a trouble,
 * and its machines are those that were seen there last: a machine vanishes only from a listing that succeeded.
 *
 * @throws when the catalog cannot be read or written
 */
export async function discover(installation: Installation, scopes: readonly Scope[]): Promise<Discovery> {
  const protectedOnes = installation.settings.HOLDFAST_SUBSCRIPTION_IDS;
  const named = placesIn(scopes);
  const troubles: DiscoveryTrouble[] = [];
  const groups: [string, readonly string[]][] = [];
  await sideBySide(named.managementGroups, LANES, async (id) => {
    groups.push([id, await readGroup(installation, id, troubles)]);
  });
  const places = placesOf(protectedOnes, Object.fromEntries(groups));
  const subscriptions = new Set(
    [...protectedOnes, ...named.subscriptions, ...groups.flatMap(([, below]) => below)].map((id) =>
      id.toLowerCase(),
    ),
  );
  const machines = new Map<string, KnownMachine>();
  await sideBySide([...subscriptions], LANES, async (id) => {
    for (const known of await readSubscription(installation, id, troubles))
      machines.set(known.machine.id, known);
  });
  const byName = (a: KnownMachine, b: KnownMachine) =>
    compare(a.machine.name, b.machine.name) || compare(a.machine.id, b.machine.id);
  return {
    machines: [...machines.values()].sort(byName),
    places,
    troubles: troubles.sort((a, b) => compare(a.id, b.id)),
  };
}

async function readSubscription(
  { azure, catalog, clock }: Installation,
  id: string,
  troubles: DiscoveryTrouble[],
): Promise<KnownMachine[]> {
  const listed: Machine[] = [];
  try {
    for await (const machine of azure.machines.list({ subscriptionId: id }))
      if (machine.tags[OWNER_TAG] === undefined) listed.push(machine);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const remembered = (await catalog.inventory.list(id)).filter(({ goneAt }) => goneAt === null);
    const stands =
      remembered.length === 0
        ? 'no machine of it is known'
        : `its ${remembered.length} machines stay as last seen`;
    const message = `Subscription ${id} could not be listed; ${stands}. ${toFailure(error).message}`;
    troubles.push({ kind: 'subscription', id, message });
    return remembered;
  }
  return catalog.inventory.record(id, listed, clock.now());
}

async function readGroup(
  { azure, catalog }: Installation,
  id: string,
  troubles: DiscoveryTrouble[],
): Promise<readonly string[]> {
  try {
    const below = await azure.managementGroups.subscriptionsBelow(id);
    await catalog.inventory.recordBelow(id, below);
    return below;
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const remembered = await catalog.inventory.below(id);
    const stands = remembered ? 'the subscriptions below it stay as last seen' : 'nothing below it is known';
    const message = `Management group ${id} could not be read; ${stands}. ${toFailure(error).message}`;
    troubles.push({ kind: 'managementGroup', id, message });
    return remembered ?? [];
  }
}

/** Adds the power states, by one more listing a subscription; where that fails they stay unknown. */
export async function withPowerStates(
  { azure }: Installation,
  machines: readonly Machine[],
): Promise<Machine[]> {
  const states = new Map<string, Machine['powerState']>();
  const subscriptions = [...new Set(machines.map(({ subscriptionId }) => subscriptionId.toLowerCase()))];
  await sideBySide(subscriptions, LANES, async (id) => {
    try {
      for (const [machine, state] of await azure.machines.powerStates(id)) states.set(machine, state);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
    }
  });
  return machines.map((machine) => ({
    ...machine,
    powerState: states.get(machine.armId.toLowerCase()) ?? 'unknown',
  }));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
