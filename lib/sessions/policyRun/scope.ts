import type { Installation } from '../../installation/index.ts';
import type { Machine, Policy } from '../../model/index.ts';
import { assignMachines, describeScope, emptyNames, judgeMachine } from '../../scope/index.ts';
import { note, warn } from '../live.ts';
import { surveyMachines } from '../machines/survey.ts';

/**
 * The machines that a run of a policy backs up: those that belong to it now. What is in its scope and belongs to another policy
 * is told as a count. Started by hand, a disabled policy takes what no enabled one has.
 */
export async function machinesOfRun(
  installation: Installation,
  sessionId: string,
  policy: Policy,
): Promise<Machine[]> {
  const { machines: surveyed, policies, places, troubles } = await surveyMachines(installation);
  const machines = surveyed.map(({ machine }) => machine);
  // As the run was asked for, whatever was edited since; only who comes first is looked up anew.
  const others = policies.filter(({ id }) => id !== policy.id);
  const assigned = assignMachines([...others, policy], machines, places, policy.id);
  const judged = machines.map((machine) => ({
    machine,
    verdict: judgeMachine(policy.scope, machine, places).verdict,
    owner: assigned.get(machine.id)?.policyId ?? null,
  }));
  const inScope = judged.filter(({ verdict }) => verdict === 'in');
  const own = inScope.filter(({ owner }) => owner === policy.id).map(({ machine }) => machine);
  for (const { message } of troubles) await warn(installation, sessionId, message);
  if (inScope.length === 0) {
    const words = describeScope(policy.scope);
    await warn(installation, sessionId, `The scope of policy ${policy.id} matches no machine: ${words}.`);
  }
  for (const { path, what } of emptyNames(policy.scope, machines, places)) {
    if (path.startsWith('/scope/machines/') && inScope.length > 0)
      await warn(installation, sessionId, `The ${what}, which policy ${policy.id} names, does not exist.`);
  }
  if (!policy.enabled && inScope.length > 0) {
    const text = `Policy ${policy.id} is disabled: started by hand, it takes what no enabled policy has.`;
    await note(installation, sessionId, text);
  }
  const lost = Map.groupBy(
    inScope.filter(({ owner }) => owner !== policy.id),
    ({ owner }) => owner ?? '',
  );
  for (const [owner, theirs] of [...lost].sort(([a], [b]) => (a < b ? -1 : 1)))
    await note(installation, sessionId, `${countOf(theirs)} skipped: owned by policy ${owner}.`);
  const excluded = judged.filter(({ verdict }) => verdict === 'excluded');
  if (excluded.length > 0) await note(installation, sessionId, `${countOf(excluded)} excluded.`);
  return own;
}

const countOf = ({ length }: readonly unknown[]): string => `${length} machine${length === 1 ? '' : 's'}`;
