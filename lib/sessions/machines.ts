import { type Installation, OWNER_TAG } from '../installation/index.ts';
import { HoldfastError, isHoldfastError, type Machine, sameArmId } from '../model/index.ts';

interface Scope {
  readonly subscriptionId: string;
  readonly resourceGroup?: string;
}

/** The machines of a scope, without our own workers. A resource group that does not exist has none. */
export async function* listMachines(installation: Installation, scope: Scope): AsyncIterable<Machine> {
  try {
    for await (const machine of installation.azure.machines.list(scope)) {
      if (machine.tags[OWNER_TAG] === undefined) yield machine;
    }
  } catch (error) {
    if (!isHoldfastError(error, 'notFound')) throw error;
  }
}

export async function* allMachines(installation: Installation): AsyncIterable<Machine> {
  for (const subscriptionId of installation.settings.HOLDFAST_SUBSCRIPTION_IDS)
    yield* listMachines(installation, { subscriptionId });
}

/**
 * The machine that a person means by its name, its ARM id or its vmId. Null if there is none; `conflict` when several have
 * the name.
 */
export async function findMachine(installation: Installation, name: string): Promise<Machine | null> {
  const found: Machine[] = [];
  for await (const machine of allMachines(installation)) {
    const same = machine.name.toLowerCase() === name.toLowerCase() || machine.id === name.toLowerCase();
    if (same || sameArmId(machine.armId, name)) found.push(machine);
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

/** As `findMachine`; `notFound` if there is none. */
export async function needMachine(installation: Installation, name: string): Promise<Machine> {
  const machine = await findMachine(installation, name);
  if (machine) return machine;
  const where = installation.settings.HOLDFAST_SUBSCRIPTION_IDS.join(', ');
  throw new HoldfastError('notFound', `There is no machine ${name} in subscription ${where}.`, {
    target: name,
  });
}
