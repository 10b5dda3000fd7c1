import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type Policy, type SlaTemplate } from '../../model/index.ts';
import { type Compliance, inRegion, meanCompliance, slaCompliance } from '../../schedule/index.ts';
import { type SurveyedMachine, surveyMachines } from '../machines/survey.ts';

const DAY_MS = 86_400_000;
/** Missed slots that are listed for each machine; further ones are counted. */
const LISTED = 50;
const SIDE_BY_SIDE = 16;

export interface MachineCompliance extends Omit<Compliance, 'misses'> {
  readonly machineId: string;
  readonly machineName: string;
  readonly region: string;
  /** When it came under the policy: what was expected before counts as met. */
  readonly addedAt: string;
  /** The last slots without a point, oldest first. */
  readonly misses: readonly string[];
}

export interface ComplianceReport {
  readonly policyId: string;
  /** The period, ISO 8601; its end exclusive. */
  readonly from: string;
  readonly until: string;
  readonly thresholdPercent: number;
  /** The mean over the machines that the policy has now. */
  readonly percent: number;
  readonly met: boolean;
  readonly machines: readonly MachineCompliance[];
  /** The same for each stretch of 24 hours of the period, oldest first. */
  readonly days: readonly { readonly from: string; readonly percent: number; readonly met: boolean }[];
}

/**
 * How well a policy kept its SLA in the last so many days: good points over expected ones for each machine, in the time of its
 * region, and their mean. What the template says now is asked of the past too; machines that left do not count.
 *
 * @throws `unsupported` for a policy without an SLA
 */
export async function complianceOf(
  installation: Installation,
  policy: Policy,
  days: number,
): Promise<ComplianceReport> {
  const { sla } = policy;
  if (sla === null) {
    throw new HoldfastError('unsupported', `Policy ${policy.id} has no SLA to be measured by.`, {
      target: policy.id,
    });
  }
  const now = installation.clock.now();
  const from = new Date(now.getTime() - days * DAY_MS);
  const { machines } = await surveyMachines(installation);
  const own = machines.filter(({ assignment }) => assignment?.policyId === policy.id);
  const facts: { surveyed: SurveyedMachine; template: SlaTemplate; addedAt: Date; takenAt: Date[] }[] = [];
  for (let at = 0; at < own.length; at += SIDE_BY_SIDE) {
    const some = own.slice(at, at + SIDE_BY_SIDE).map(async (surveyed) => ({
      surveyed,
      template: inRegion(sla, surveyed.machine.location),
      addedAt: await addedAt(installation, policy, surveyed),
      takenAt: await takenBy(installation, sla.makes, surveyed.machine.id, from),
    }));
    facts.push(...(await Promise.all(some)));
  }
  const measure = (since: Date, until: Date): Compliance[] =>
    facts.map(({ template, addedAt, takenAt }) =>
      slaCompliance(template, { addedAt, takenAt }, since, until, now),
    );
  const whole = measure(from, now);
  return {
    policyId: policy.id,
    from: from.toISOString(),
    until: now.toISOString(),
    thresholdPercent: sla.thresholdPercent,
    ...meanCompliance(sla, whole),
    machines: facts.map(({ surveyed: { machine }, addedAt: added }, i) => {
      const { misses = [], ...rest } = whole[i] ?? { expected: 0, met: 0, assumed: 0, percent: 100 };
      return {
        machineId: machine.id,
        machineName: machine.name,
        region: machine.location,
        addedAt: added.toISOString(),
        ...rest,
        misses: misses.slice(-LISTED).map((at) => at.toISOString()),
      };
    }),
    days: Array.from({ length: days }, (_, day) => {
      const begin = new Date(from.getTime() + day * DAY_MS);
      const part = measure(begin, new Date(begin.getTime() + DAY_MS));
      return { from: begin.toISOString(), ...meanCompliance(sla, part) };
    }),
  };
}

/** Tells how each SLA was kept in the last 24 hours. A policy that cannot be measured now is named, and keeps none from it. */
export async function tellCompliance(installation: Installation): Promise<readonly string[]> {
  const troubles: string[] = [];
  for (const { value: policy } of await installation.catalog.policies.list()) {
    if (policy.sla === null || !policy.enabled) continue;
    try {
      const { percent, met, thresholdPercent, machines } = await complianceOf(installation, policy, 1);
      installation.telemetry.event('holdfast.policy.compliance', {
        policyId: policy.id,
        percent,
        thresholdPercent,
        met,
        machines: machines.length,
        missed: machines.reduce((sum, { expected, met: good }) => sum + expected - good, 0),
      });
    } catch (error) {
      troubles.push(`policy ${policy.id}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return troubles;
}

/** The machine's first run under the policy, or, before there was one, since when it was seen to belong to it. */
async function addedAt(
  { catalog }: Installation,
  { id }: Policy,
  { machine, ownedSince, firstSeenAt }: SurveyedMachine,
): Promise<Date> {
  const covered = await catalog.slots.covered(id, machine.id);
  const joined = covered === null ? null : new Date(covered.joinedAt);
  return joined ?? ownedSince ?? firstSeenAt;
}

/** When good points were taken, also those that retention has removed since. Of snapshots: when their sessions began. */
async function takenBy(
  { catalog }: Installation,
  makes: SlaTemplate['makes'],
  machineId: string,
  from: Date,
): Promise<Date[]> {
  if (makes === 'backup') {
    const rows = await catalog.points.listMachine(machineId, { removed: true });
    return rows.map(({ point }) => new Date(point.takenAt));
  }
  const taken: Date[] = [];
  for (let after: string | undefined; ; ) {
    const page = await catalog.sessions.list({
      machineId,
      limit: 200,
      ...(after === undefined ? {} : { after }),
    });
    for (const { kind, status, startedAt } of page.sessions) {
      const good = status === 'succeeded' || status === 'warning';
      if (good && (kind === 'backup' || kind === 'snapshot')) taken.push(new Date(startedAt));
    }
    const oldest = page.sessions.at(-1);
    if (page.next === null || !oldest || new Date(oldest.startedAt) < from) return taken;
    after = page.next;
  }
}
