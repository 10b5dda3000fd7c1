import type { Installation } from '../../installation/index.ts';
import { type Machine, type Policy, protectionOf, type Session } from '../../model/index.ts';
import { enterStep, noteWaits, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { needPolicy } from '../machines/survey.ts';
import type { Instances } from '../ports.ts';
import { requestBackup } from '../requests.ts';
import { need, type PolicyRunState, readState, updateState } from '../state.ts';
import { calendarOf, placed, regionName } from './calendars.ts';
import { type Made, owedBy, type RunSlot } from './owed.ts';
import { planRetries } from './retry.ts';
import { machinesOfRun } from './scope.ts';
import { startOf } from './stagger.ts';
import { destinationOf } from './storage.ts';

/** Resolves which machines the run backs up, once, in the order in which they start. */
export async function openPolicyRun(
  installation: Installation,
  sessionId: string,
): Promise<{ machines: number }> {
  const session = await enterStep(installation, sessionId, 'machines');
  const { request, machines: known } = await readState(installation, sessionId, 'policyRun');
  if (known) return { machines: known.length };
  const policy = await needPolicy(installation, request.policyId);
  const own = await machinesOfRun(installation, sessionId, policy);
  const here = own.filter(
    ({ location }) => request.region === null || regionName(location) === request.region,
  );
  const start = (machine: Machine) => startOf(policy, session, request, machine).getTime();
  const machines = here.sort((a, b) => start(a) - start(b) || (a.name < b.name ? -1 : 1));
  await updateState(installation, sessionId, 'policyRun', (state) => ({ ...state, machines }));
  return { machines: machines.length };
}

/**
 * Starts the backups that are due and may run side by side, and looks at those that were started; of a scheduled run, machines
 * that failed are tried again. Done when each machine's last session has ended; a run with failed machines ends with a warning
 * that names them.
 */
export async function backUpMachines(
  installation: Installation,
  instances: Instances,
  sessionId: string,
): Promise<Looked<null>> {
  const run = await enterStep(installation, sessionId, 'machines');
  const state = await readState(installation, sessionId, 'policyRun');
  const machines = need(state.machines, 'the machines in scope', sessionId);
  const policy = await needPolicy(installation, state.request.policyId);
  const children = await Promise.all(state.children.map((id) => installation.catalog.sessions.get(id)));
  const ended = children.filter((child) => child?.status !== 'running');
  const started = (await installation.catalog.sessions.children(run.id)).filter(ofMachine);
  const running = started.filter(({ status }) => status === 'running').length;
  const room = installation.settings.HOLDFAST_PARALLEL_MACHINES - running;
  const now = installation.clock.now();
  const waiting = machines.slice(children.length);
  const due = waiting.filter((machine) => startOf(policy, run, state.request, machine) <= now);
  const next = due.slice(0, Math.max(0, room));
  for (const machine of next) await startChild(installation, instances, run, state, policy, machine);
  const retries = planRetries(
    run,
    started,
    { retry: policy.retry, scheduled: state.request.slot !== null },
    now,
  );
  for (const { machineId, attempt } of retries.due.slice(0, Math.max(0, room - next.length))) {
    const machine = machines.find(({ id }) => id === machineId);
    if (machine) await startChild(installation, instances, run, state, policy, machine, attempt);
  }
  const paced = due.length + retries.due.length > Math.max(0, room);
  await noteWaits(installation, sessionId, paced ? ['machines'] : [], ['machines']);
  const first = waiting[0];
  if (first && due.length === 0 && running === 0 && retries.due.length + retries.waiting === 0)
    return notYet('the time of the next machine', startOf(policy, run, state.request, first));
  if (ended.length < machines.length) return notYet(`${machines.length - ended.length} machines`);
  // No wait until then: whoever cancels the run should not wait for its next try.
  const trying = retries.due.length + retries.waiting;
  if (trying > 0) return notYet(`the next try of ${trying} machines that failed`);
  if (running > 0) return notYet(`${running} machines that are tried again`);
  for (const { machineId, machineName, error } of retries.failed) {
    const tries = started.filter((child) => child.machineId === machineId).length;
    const times = tries > 1 ? ` (${tries} tries)` : '';
    await warn(
      installation,
      sessionId,
      `Machine ${machineName ?? machineId}${times}: ${error?.message ?? 'failed'}`,
    );
  }
  return seen(null);
}

/** A backup that the run started for one of its machines. */
const ofMachine = ({ kind }: Session): boolean => kind === 'backup' || kind === 'snapshot';

async function startChild(
  installation: Installation,
  instances: Instances,
  run: Session,
  { request }: PolicyRunState,
  policy: Policy,
  machine: Machine,
  attempt = 0,
): Promise<void> {
  const made = await madeFor(installation, policy, request, machine);
  const child = await requestBackup(installation, instances, {
    machine,
    protection: protectionOf(policy),
    ...made,
    ...destinationOf(policy.storage, machine, made.backupFlags),
    ...(request.slot === null ? {} : { slot: new Date(request.slot) }),
    reason: run.reason,
    policyId: policy.id,
    parentId: run.id,
    seed: attempt === 0 ? `${run.id}/${machine.id}` : `${run.id}/${machine.id}/${attempt}`,
    at: new Date(run.startedAt),
  });
  // A retry is a further child of the same run; how many machines were begun does not change.
  if (attempt > 0) return;
  await updateState(installation, run.id, 'policyRun', (state) =>
    state.children.includes(child.id) ? state : { ...state, children: [...state.children, child.id] },
  );
}

/** What the run makes of a machine: what its slot wants, and what the machine is still owed of earlier ones. */
async function madeFor(
  { catalog }: Installation,
  policy: Policy,
  request: PolicyRunState['request'],
  { id, location }: Machine,
): Promise<Made> {
  const calendar = calendarOf(policy);
  if (request.slot === null || calendar === null) return request;
  const slot: RunSlot = { ...request, at: new Date(request.slot) };
  const of = { policyId: policy.id, region: request.region };
  const covered = await catalog.slots.join(policy.id, id, new Date(slot.at.getTime() - 1));
  const from = (await catalog.slots.looked(of))?.from ?? slot.at;
  return owedBy(placed(calendar, request.region ?? location), slot, covered, from);
}
