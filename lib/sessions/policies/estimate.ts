import {
  type Assumptions,
  type BackupWay,
  DEFAULT_PRICES,
  estimateMachine,
  type Load,
  loadOf,
  type MachineEstimate,
  type MachineFacts,
  measuredFacts,
  type PolicyEstimate,
  type PriceTable,
  sumUp,
} from '../../cost/index.ts';
import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type Machine, type Policy, protectionOf, toFailure } from '../../model/index.ts';
import { assignMachines, judgeMachine, leaveOutDisks } from '../../scope/index.ts';
import { calendarIn } from '../machines/coverage.ts';
import { surveyMachines } from '../machines/survey.ts';
import { regionName } from '../policyRun/calendars.ts';
import { destinationOf } from '../policyRun/storage.ts';
import { readPolicy, refuseErrors } from './findings.ts';

/** Machines of one estimate. */
const MOST = 500;
const AT_ONCE = 8;

export interface EstimateAsked {
  readonly assumptions: Assumptions;
  /** Another table than the installation's, for this estimate. */
  readonly prices?: PriceTable | undefined;
  /** Only this machine, by name, id or ARM id, whether it belongs to the policy or not. */
  readonly machine?: string | undefined;
}

/** The policy that a document would be under an id, without a look at machines and repositories. `invalidInput`. */
export function readDraft(id: string, document: unknown): Policy {
  const { policy, findings } = readPolicy(
    typeof document === 'object' && document !== null ? { ...document, id } : document,
  );
  refuseErrors(findings);
  if (policy) return policy;
  throw new HoldfastError('invalidInput', 'The document is no policy.', { target: 'policy' });
}

/** The price table in force: the operator's, else the shipped one. */
export const pricesInForce = async ({ catalog }: Installation): Promise<PriceTable> =>
  (await catalog.prices.get()) ?? DEFAULT_PRICES;

/**
 * What a policy costs a month for the machines that belong to it (of a policy that is not stored: would belong), from what their
 * restore points tell, else from their disks and what is taken for granted.
 *
 * @throws `notFound` when there is no such machine
 */
export async function estimatePolicy(
  installation: Installation,
  policy: Policy,
  { assumptions, machine, prices }: EstimateAsked,
): Promise<PolicyEstimate> {
  const table = prices ?? (await pricesInForce(installation));
  const warnings: string[] = [];
  const machines = await machinesOf(installation, policy, machine, warnings);
  if (machines.length > MOST)
    warnings.push(`Of ${machines.length} machines the first ${MOST} are reckoned with.`);
  const loads = new Loads(installation, policy, assumptions.months);
  const way = await wayOf(installation, policy);
  const estimates: MachineEstimate[] = [];
  const chosen = machines.slice(0, MOST);
  for (let at = 0; at < chosen.length; at += AT_ONCE) {
    const some = chosen.slice(at, at + AT_ONCE).map(async (one) => {
      try {
        const facts = await factsOf(installation, policy, one);
        return estimateMachine(facts, loads.of(one.location), way, { prices: table, assumptions });
      } catch (error) {
        warnings.push(`${one.name} is left out: ${toFailure(error).message}`);
        return null;
      }
    });
    for (const estimate of await Promise.all(some)) if (estimate) estimates.push(estimate);
  }
  if (policy.calendar === null && policy.sla === null)
    warnings.push(`Policy ${policy.id} runs on request only: nothing is reckoned for its backups.`);
  if (machines.length === 0) warnings.push(`No machine belongs to policy ${policy.id}.`);
  return sumUp(estimates, { prices: table, assumptions, warnings });
}

async function machinesOf(
  installation: Installation,
  policy: Policy,
  wanted: string | undefined,
  warnings: string[],
): Promise<Machine[]> {
  const {
    machines: surveyed,
    policies,
    places,
    troubles,
  } = await surveyMachines(installation, [policy.scope]);
  for (const { message } of troubles) warnings.push(message);
  const machines = surveyed.map(({ machine }) => machine);
  if (wanted !== undefined) {
    const word = wanted.toLowerCase();
    const found = machines.filter(({ id, armId, name }) =>
      [id, armId, name].some((one) => one.toLowerCase() === word),
    );
    if (found.length > 0) return found;
    throw new HoldfastError('notFound', `There is no machine ${wanted}.`, { target: 'machine' });
  }
  const others = policies.filter(({ id }) => id !== policy.id);
  const assigned = assignMachines([...others, policy], machines, places, policy.id);
  return machines.filter(
    (machine) =>
      judgeMachine(policy.scope, machine, places).verdict === 'in' &&
      assigned.get(machine.id)?.policyId === policy.id,
  );
}

/** What the policy comes to in each region, simulated once. */
class Loads {
  readonly #installation: Installation;
  readonly #policy: Policy;
  readonly #months: number;
  readonly #known = new Map<string, Load>();

  constructor(installation: Installation, policy: Policy, months: number) {
    this.#installation = installation;
    this.#policy = policy;
    this.#months = months;
  }

  of(location: string): Load {
    const region = regionName(location);
    const known = this.#known.get(region);
    if (known) return known;
    const { storage, retention, snapshots } = this.#policy;
    const calendar = calendarIn(this.#policy, location);
    const load: Load = calendar
      ? loadOf({
          calendar,
          retention: { backups: retention, snapshots: snapshots.retention },
          destinations: (flags) => {
            const { repository, copies } = destinationOf(storage, { location }, flags);
            return [repository, ...copies];
          },
          from: this.#installation.clock.now(),
          months: this.#months,
        })
      : { snapshots: { perMonth: 0, count: 0, gapDays: [] }, repositories: new Map() };
    this.#known.set(region, load);
    return load;
  }
}

async function wayOf(installation: Installation, policy: Policy): Promise<BackupWay> {
  const { changedBlocks, snapshots, mover } = policy;
  const places = await installation.repositoryPlaces();
  return {
    changedBlocks: changedBlocks.enabled,
    wholeReadEveryDays: changedBlocks.wholeReadEveryDays,
    zoneRedundantSnapshots: snapshots.redundancy !== 'locallyRedundant',
    workers: mover !== 'inline',
    workerSizes: installation.settings.HOLDFAST_WORKER_SIZES,
    repositoryRegions: new Map(places.map(({ id, region }) => [id, region])),
  };
}

/** What restore points tell; of a machine without any, the disks that it has and that the policy backs up. */
async function factsOf(installation: Installation, policy: Policy, machine: Machine): Promise<MachineFacts> {
  const { id: machineId, name, location: region } = machine;
  const own = { machineId, machine: name, region };
  const rows = await installation.catalog.points.listMachine(machineId);
  const measured = measuredFacts(rows.map(({ point }) => point));
  if (measured) return { ...own, ...measured };
  const { disks } = await installation.azure.machines.readConfiguration(machine.armId);
  const { kept } = leaveOutDisks(protectionOf(policy), machine, disks);
  return {
    ...own,
    disks: kept.map((disk) => ({ name: disk.name, sizeBytes: disk.sizeBytes, usedBytes: null })),
    dailyChange: null,
    storedRatio: null,
  };
}
