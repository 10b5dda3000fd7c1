import type { Installation } from '../../installation/index.ts';
import type { Policy } from '../../model/index.ts';
import { surveyMachines } from '../machines/survey.ts';

/** Which policy speaks for a machine, by its id; null: none does, and everything goes by what it carries. */
export type Speaker = (machineId: string) => Policy | null;

/**
 * Looks to which policy each machine belongs. A disabled policy speaks for nobody: what it said last is written in the points.
 *
 * @param subscriptionId of these machines alone, as they were seen last: after each backup nobody needs to list the tenant
 */
export async function whoSpeaks(
  installation: Installation,
  subscriptionId: string | null = null,
): Promise<Speaker> {
  const { policies, owners } =
    subscriptionId === null ? await seenNow(installation) : await seenLast(installation, subscriptionId);
  const byId = new Map(policies.filter(({ enabled }) => enabled).map((policy) => [policy.id, policy]));
  return (machineId) => byId.get(owners.get(machineId) ?? '') ?? null;
}

interface Seen {
  readonly policies: readonly Policy[];
  /** Ids of policies by ids of machines. */
  readonly owners: ReadonlyMap<string, string>;
}

async function seenNow(installation: Installation): Promise<Seen> {
  const { machines, policies } = await surveyMachines(installation);
  const owners = new Map<string, string>();
  for (const { machine, assignment } of machines)
    if (assignment !== null) owners.set(machine.id, assignment.policyId);
  return { policies, owners };
}

async function seenLast({ catalog }: Installation, subscriptionId: string): Promise<Seen> {
  const owners = new Map<string, string>();
  for (const { machine, owner, goneAt } of await catalog.inventory.list(subscriptionId))
    if (owner !== null && goneAt === null) owners.set(machine.id, owner.policyId);
  return { policies: (await catalog.policies.list()).map(({ value }) => value), owners };
}

/** Whether a policy writes to a repository, by its name in the installation. */
export function writesTo({ storage }: Policy, repository: string): boolean {
  const { repository: usual, regions, flags, copies } = storage;
  return [usual, ...Object.values(regions), ...Object.values(flags), ...copies].includes(repository);
}
