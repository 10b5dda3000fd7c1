import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type Machine, sameArmId } from '../../model/index.ts';
import { type Discovery, discover } from './discovery.ts';

/**
 * Every machine that the installation sees: of the subscriptions that it protects, and of those that its policies name beside
 * them, directly or by a management group.
 */
async function allMachines(installation: Installation): Promise<Discovery> {
  const policies = await installation.catalog.policies.list();
  return discover(
    installation,
    policies.map(({ value }) => value.scope),
  );
}

/**
 * The machine that a person means by its name, its ARM id or its vmId. Null if there is none; `conflict` when several have
 * the name; `unavailable` when there seems to be none and not everything could be looked at.
 */
export async function findMachine(installation: Installation, name: string): Promise<Machine | null> {
  const { machines, troubles } = await allMachines(installation);
  const found = machines.flatMap(({ machine }) => (means(name, machine) ? [machine] : []));
  if (found.length === 0 && troubles[0]) {
    throw new HoldfastError(
      'unavailable',
      `Whether there is a machine ${name} is not known: ${troubles[0].message}`,
      {
        target: name,
      },
    );
  }
  if (found.length > 1) {
    const ids = found.map(({ armId }) => armId).join(', ');
    throw new HoldfastError(
      'conflict',
      `Several machines are named ${name}; say which by its ARM id: ${ids}.`,
      { target: name },
    );
  }
  return found[0] ?? null;
}

const means = (name: string, machine: Machine): boolean =>
  machine.name.toLowerCase() === name.toLowerCase() ||
  machine.id === name.toLowerCase() ||
  sameArmId(machine.armId, name);

/** As `findMachine`; `notFound` if there is none. */
export async function needMachine(installation: Installation, name: string): Promise<Machine> {
  const machine = await findMachine(installation, name);
  if (machine) return machine;
  const where = installation.settings.HOLDFAST_SUBSCRIPTION_IDS.join(', ');
  throw new HoldfastError('notFound', `There is no machine ${name} in subscription ${where}.`, {
    target: name,
  });
}
