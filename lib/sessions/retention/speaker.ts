import type { Installation } from '../../installation/index.ts';
import type { Policy } from '../../model/index.ts';
import { surveyMachines } from '../survey.ts';

/** Which policy speaks for a machine, by its id; null: none does, and everything goes by what it carries. */
export type Speaker = (machineId: string) => Policy | null;

/**
 * Looks once to which policy each machine belongs. A disabled policy speaks for nobody: what it said last is written in the points.
 */
export async function whoSpeaks(installation: Installation): Promise<Speaker> {
  const { machines, policies } = await surveyMachines(installation);
  const byId = new Map(policies.map((policy) => [policy.id, policy]));
  const owners = new Map(machines.map(({ machine, assignment }) => [machine.id, assignment?.policyId]));
  return (machineId) => byId.get(owners.get(machineId) ?? '') ?? null;
}

/** Whether a policy writes to a repository, by its name in the installation. */
export function writesTo({ storage }: Policy, repository: string): boolean {
  const { repository: usual, regions, flags, copies } = storage;
  return [usual, ...Object.values(regions), ...Object.values(flags), ...copies].includes(repository);
}
