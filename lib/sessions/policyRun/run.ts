import type { Installation } from '../../installation/index.ts';
import {
  HoldfastError,
  type Machine,
  sessionId as newSessionId,
  type Policy,
  protectionOf,
  type Session,
} from '../../model/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { findMachine, listMachines } from '../machines.ts';
import type { Instances } from '../ports.ts';
import { requestBackup, startSession } from '../requests.ts';
import { need, readState, updateState } from '../state.ts';

/** Starts a run of a policy, for a slot of its schedule or on request. The same slot asks for the same session. */
export function requestPolicyRun(
  installation: Installation,
  instances: Instances,
  policy: Policy,
  slot: Date | null,
): Promise<Session> {
  const now = installation.clock.now();
  return startSession(installation, instances, {
    id: slot === null ? newSessionId(now) : newSessionId(slot, `policy/${policy.id}/${slot.toISOString()}`),
    orchestrator: 'runPolicy',
    reason: slot === null ? 'request' : `schedule ${slot.toISOString()}`,
    machine: null,
    parentId: null,
    policyId: policy.id,
    request: { kind: 'policyRun', policyId: policy.id, slot: slot?.toISOString() ?? null },
  });
}

/** Resolves which machines are in scope, once. */
export async function openPolicyRun(
  installation: Installation,
  sessionId: string,
): Promise<{ machines: number }> {
  await enterStep(installation, sessionId, 'machines');
  const { request, machines: known } = await readState(installation, sessionId, 'policyRun');
  if (known) return { machines: known.length };
  const policy = await readPolicy(installation, request.policyId);
  const machines = await machinesInScope(installation, sessionId, policy);
  await updateState(installation, sessionId, 'policyRun', (state) => ({ ...state, machines }));
  return { machines: machines.length };
}

/**
 * Starts the backups that may run side by side, and looks at those that were started. Done when each machine's session has
 * ended; a run with failed machines ends with a warning that names them.
 */
export async function backUpMachines(
  installation: Installation,
  instances: Instances,
  sessionId: string,
): Promise<Looked<null>> {
  const run = await enterStep(installation, sessionId, 'machines');
  const state = await readState(installation, sessionId, 'policyRun');
  const machines = need(state.machines, 'the machines in scope', sessionId);
  const policy = await readPolicy(installation, state.request.policyId);
  const children = await Promise.all(state.children.map((id) => installation.catalog.sessions.get(id)));
  const ended = children.filter((child) => child?.status !== 'running');
  const room = installation.settings.HOLDFAST_PARALLEL_MACHINES - (children.length - ended.length);
  const next = machines.slice(children.length, children.length + Math.max(0, room));
  for (const machine of next) await startChild(installation, instances, run, policy, machine);
  if (ended.length < machines.length) return notYet(`${machines.length - ended.length} machines`);
  for (const child of ended) {
    if (child?.status !== 'failed') continue;
    await warn(
      installation,
      sessionId,
      `Machine ${child.machineName ?? child.machineId}: ${child.error?.message ?? 'failed'}`,
    );
  }
  return seen(null);
}

async function startChild(
  installation: Installation,
  instances: Instances,
  run: Session,
  policy: Policy,
  machine: Machine,
): Promise<void> {
  const child = await requestBackup(installation, instances, {
    machine,
    protection: protectionOf(policy),
    reason: run.reason,
    policyId: policy.id,
    parentId: run.id,
    seed: `${run.id}/${machine.id}`,
    at: new Date(run.startedAt),
  });
  await updateState(installation, run.id, 'policyRun', (state) =>
    state.children.includes(child.id) ? state : { ...state, children: [...state.children, child.id] },
  );
}

async function readPolicy({ catalog }: Installation, id: string): Promise<Policy> {
  const found = await catalog.policies.get(id);
  if (found) return found.value;
  throw new HoldfastError('notFound', `There is no policy ${id}.`, { target: id });
}

async function machinesInScope(
  installation: Installation,
  sessionId: string,
  { scope }: Policy,
): Promise<Machine[]> {
  const found = new Map<string, Machine>();
  for (const subscriptionId of scope.subscriptions) {
    for await (const machine of listMachines(installation, { subscriptionId }))
      found.set(machine.id, machine);
  }
  for (const group of scope.resourceGroups) {
    for (const subscriptionId of installation.settings.HOLDFAST_SUBSCRIPTION_IDS) {
      for await (const machine of listMachines(installation, { subscriptionId, resourceGroup: group }))
        found.set(machine.id, machine);
    }
  }
  for (const name of scope.machines) {
    const machine = await findMachine(installation, name);
    if (machine) found.set(machine.id, machine);
    else await warn(installation, sessionId, `Machine ${name} is in the policy's scope and does not exist.`);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
