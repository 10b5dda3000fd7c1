import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type Machine, type Policy, type Scope } from '../../model/index.ts';
import { type Assignment, assignMachines, type Places } from '../../scope/index.ts';
import { sideBySide } from '../sideBySide.ts';
import { type DiscoveryTrouble, discover } from './discovery.ts';

/** Rows that are written side by side, when machines change their policy. */
const LANES = 16;

export interface SurveyedMachine {
  readonly machine: Machine;
  /** The policy that it belongs to, and why; null: none. */
  readonly assignment: Assignment | null;
  /** Since when it belongs to that policy, as far as was seen. */
  readonly ownedSince: Date | null;
  readonly firstSeenAt: Date;
}

/** All machines and policies at one moment, and which belongs to which. */
export interface Survey {
  readonly machines: readonly SurveyedMachine[];
  readonly policies: readonly Policy[];
  readonly places: Places;
  readonly troubles: readonly DiscoveryTrouble[];
}

/**
 * Looks at everything once, decides to which policy each machine belongs, and remembers since when.
 *
 * @param also scopes beside those of the policies whose places are looked at
 */
export async function surveyMachines(
  installation: Installation,
  also: readonly Scope[] = [],
): Promise<Survey> {
  const { catalog, clock } = installation;
  const policies = (await catalog.policies.list()).map(({ value }) => value);
  const scopes = [...policies.map(({ scope }) => scope), ...also];
  const { machines, places, troubles } = await discover(installation, scopes);
  const assigned = assignMachines(
    policies,
    machines.map(({ machine }) => machine),
    places,
  );
  const since = new Map<string, Date>();
  await sideBySide(machines, LANES, async (known) => {
    const policyId = assigned.get(known.machine.id)?.policyId ?? null;
    const { owner } = await catalog.inventory.assign(known, policyId, clock.now());
    if (owner) since.set(known.machine.id, new Date(owner.since));
  });
  const surveyed = machines.map(
    ({ machine, firstSeenAt }): SurveyedMachine => ({
      machine,
      assignment: assigned.get(machine.id) ?? null,
      ownedSince: since.get(machine.id) ?? null,
      firstSeenAt: new Date(firstSeenAt),
    }),
  );
  return { machines: surveyed, policies, places, troubles };
}

export async function needPolicy({ catalog }: Installation, id: string): Promise<Policy> {
  const found = await catalog.policies.get(id);
  if (found) return found.value;
  throw new HoldfastError('notFound', `There is no policy ${id}.`, { target: id });
}
