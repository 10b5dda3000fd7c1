/** Run commands of machines (`virtualMachines/runCommands`): scripts in guests, through the guest agent. guest/scripts.ts is the guest. */
import * as z from 'zod';
import { azureTime, type SimulatorClock } from '../clock.ts';
import { ArmError, notAllowed, resourceNotFound } from '../errors.ts';
import { runScript, type ScriptOutcome } from '../guest/scripts.ts';
import type { Collection, StateStore } from '../state.ts';
import type { ArmApp, ArmRequest } from './app.ts';
import { checkName, parseBody } from './body.ts';
import type { DiskRecords } from './diskRecords.ts';
import type { MachineRecord, MachineRecords } from './machineRecords.ts';

export interface RunCommandRecord {
  id: string;
  machineId: string;
  name: string;
  location: string;
  tags: Record<string, string>;
  script: string;
  timeoutSeconds: number;
  provisioningState: 'Creating' | 'Succeeded' | 'Failed' | 'Deleting';
  /** Null: it never started. Epoch milliseconds. */
  startedAt: number | null;
  outcome: ScriptOutcome | null;
}

/** What ran in a guest; kept when the command is deleted. */
export interface RanScript {
  machineId: string;
  name: string;
  script: string;
  startedAt: string;
  exitCode: number;
}

export interface RunCommandServices {
  app: ArmApp;
  machines: MachineRecords;
  disks: DiskRecords;
  clock: SimulatorClock;
  guests: GuestAgents;
}

const GROUP =
  '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Compute/virtualMachines/{vm}/runCommands';
const TYPE = 'Microsoft.Compute/virtualMachines/runCommands';
const MAX_COMMANDS = 25;
const NINETY_MINUTES = 5400;

const commandBody = z.looseObject({
  location: z.string(),
  tags: z.record(z.string(), z.string()).optional(),
  properties: z.looseObject({
    source: z.looseObject({ script: z.string() }),
    asyncExecution: z.boolean().optional(),
    timeoutInSeconds: z.number().int().positive().optional(),
  }),
});

/** The agents in the guests, and what they ran. */
export class GuestAgents {
  readonly commands: Collection<RunCommandRecord>;
  private readonly missing: Collection<{ machineId: string }>;
  private readonly log: Collection<RanScript>;

  constructor(state: StateStore) {
    this.commands = state.collection('runCommands');
    this.missing = state.collection('guestAgentsMissing');
    this.log = state.collection('guestScripts');
  }

  /** A guest without an agent runs nothing, and Azure learns it only when it waits in vain. */
  setPresent(machineId: string, present: boolean): void {
    if (present) this.missing.delete(machineId);
    else this.missing.set(machineId, { machineId });
  }

  isPresent(machineId: string): boolean {
    return this.missing.get(machineId) === undefined;
  }

  ran(entry: RanScript): void {
    this.log.set(`${entry.machineId}/${entry.name}/${this.log.filter(() => true).length}`, entry);
  }

  scripts(machineId?: string): RanScript[] {
    return this.log.filter(
      (entry) => machineId === undefined || entry.machineId.toLowerCase() === machineId.toLowerCase(),
    );
  }
}

export function runCommandRoutes(services: RunCommandServices): void {
  const { app, machines, guests, clock } = services;
  const { operations } = app.core;
  const { commands } = guests;
  const machineOf = (request: ArmRequest) =>
    machines.require(request.params.s as string, request.params.g as string, request.params.vm as string);
  const idOf = (machine: MachineRecord, name: string) => `${machine.id}/runCommands/${name}`;
  const find = (request: ArmRequest): RunCommandRecord => {
    const machine = machineOf(request);
    const record = commands.get(idOf(machine, request.params.name as string));
    if (!record) throw resourceNotFound(`${TYPE}/${machine.name}/${request.params.name}`, machine.group);
    return record;
  };
  operations.register('runCommand.written', (operation) => {
    const record = commands.get(operation.target);
    if (!record) return;
    record.provisioningState = operation.outcome.status === 'Succeeded' ? 'Succeeded' : 'Failed';
    commands.set(record.id, record);
  });
  operations.register('runCommand.deleted', (operation) => {
    if (operation.outcome.status === 'Succeeded') commands.delete(operation.target);
  });

  const read = { action: `${TYPE}/read` } as const;
  app.route('GET', GROUP, read, (request) => {
    const machine = machineOf(request);
    const mine = commands.filter(({ machineId }) => machineId === machine.id);
    return { status: 200, body: { value: mine.map((record) => commandView(record, clock, false)) } };
  });
  app.route('GET', `${GROUP}/{name}`, read, (request) => {
    const expand = request.query.get('$expand')?.toLowerCase() === 'instanceview';
    return { status: 200, body: commandView(find(request), clock, expand) };
  });
  app.route('PUT', `${GROUP}/{name}`, { action: `${TYPE}/write` }, async (request) => {
    const name = request.params.name as string;
    checkName(name, 'runCommandName');
    const machine = machineOf(request);
    const body = parseBody(commandBody, request.body);
    checkMachine(machine);
    const mine = commands.filter(({ machineId }) => machineId === machine.id);
    const id = idOf(machine, name);
    if (mine.length >= MAX_COMMANDS && !commands.get(id))
      throw notAllowed(
        `VM '${machine.name}' has ${mine.length} run commands; at most ${MAX_COMMANDS} are allowed.`,
      );
    const record: RunCommandRecord = {
      id,
      machineId: machine.id,
      name,
      location: machine.location,
      tags: body.tags ?? {},
      script: body.properties.source.script,
      timeoutSeconds: body.properties.timeoutInSeconds ?? NINETY_MINUTES,
      provisioningState: 'Creating',
      startedAt: null,
      outcome: null,
    };
    const present = guests.isPresent(machine.id);
    if (present) await start(services, machine, record);
    commands.set(id, record);
    const order = {
      service: 'compute',
      location: machine.location,
      target: id,
      finisher: 'runCommand.written',
      ...(present ? {} : { outcome: { status: 'Failed', error: agentSilent(machine) } as const }),
    } as const;
    const view = commandView(record, clock, false);
    return app.startOperation(request, order, { status: 201, monitor: false, body: view }).reply;
  });
  app.route('DELETE', `${GROUP}/{name}`, { action: `${TYPE}/delete` }, (request) => {
    const machine = machineOf(request);
    const record = commands.get(idOf(machine, request.params.name as string));
    if (!record) return { status: 204 };
    record.provisioningState = 'Deleting';
    commands.set(record.id, record);
    const order = {
      service: 'compute',
      location: machine.location,
      target: record.id,
      finisher: 'runCommand.deleted',
    } as const;
    return app.startOperation(request, order, { status: 202, monitor: true }).reply;
  });
}

function checkMachine(machine: MachineRecord): void {
  if (machine.power !== 'running') {
    throw notAllowed('Cannot modify extensions in the VM when the VM is not running.');
  }
  if (machine.osProfile?.allowExtensionOperations === false) {
    throw new ArmError(
      409,
      'OperationNotAllowed',
      'This operation cannot be performed when extension operations are disallowed. To allow, please ensure VM Agent is installed on the VM and the osProfile.allowExtensionOperations property is true.',
    );
  }
}

const agentSilent = ({ name }: MachineRecord) => ({
  code: 'VMAgentStatusCommunicationError',
  message: `VM '${name}' has not reported status for VM agent or extensions. Verify that the OS is up and healthy, the VM has a running VM agent, and that it can establish outbound connections to Azure storage. Please refer to https://aka.ms/vmextensionlinuxtroubleshoot for additional VM agent troubleshooting information.`,
});

async function start(
  { disks, clock, guests }: RunCommandServices,
  machine: MachineRecord,
  record: RunCommandRecord,
): Promise<void> {
  record.startedAt = clock.now().getTime();
  record.outcome = runScript(record.script, record.timeoutSeconds);
  const os = disks.disks.get(machine.osDisk.diskId);
  for (const { offset, text } of record.outcome.writes)
    if (os) await writeText(disks, os.uniqueId, offset, text);
  guests.ran({
    machineId: machine.id,
    name: record.name,
    script: record.script,
    startedAt: new Date(record.startedAt).toISOString(),
    exitCode: record.outcome.exitCode,
  });
}

/** Into the sectors that hold it, which keep the rest of what they hold. */
async function writeText(disks: DiskRecords, content: string, offset: number, text: string): Promise<void> {
  const from = offset - (offset % 512);
  const bytes = Buffer.from(text);
  const length = Math.ceil((offset + bytes.length - from) / 512) * 512;
  const sectors = Buffer.from(await disks.store.read(content, from, length));
  bytes.copy(sectors, offset - from);
  await disks.store.write(content, from, sectors);
}

function commandView(record: RunCommandRecord, clock: SimulatorClock, expand: boolean): object {
  return {
    name: record.name,
    id: record.id,
    type: TYPE,
    location: record.location,
    tags: record.tags,
    properties: {
      source: { script: record.script },
      parameters: [],
      asyncExecution: true,
      timeoutInSeconds: record.timeoutSeconds,
      provisioningState: record.provisioningState,
      ...(expand ? { instanceView: instanceView(record, clock) } : {}),
    },
  };
}

function instanceView({ startedAt, outcome }: RunCommandRecord, clock: SimulatorClock): object {
  if (startedAt === null || outcome === null)
    return { executionState: 'Unknown', executionMessage: '', exitCode: 0, output: '', error: '' };
  const endsAt = startedAt + outcome.seconds * 1000;
  const running = clock.now().getTime() < endsAt;
  const state = outcome.timedOut ? 'TimedOut' : outcome.exitCode === 0 ? 'Succeeded' : 'Failed';
  return {
    executionState: running ? 'Running' : state,
    executionMessage: running
      ? 'Execution in progress'
      : outcome.timedOut
        ? 'Execution timed out'
        : 'Execution completed',
    exitCode: running ? 0 : outcome.timedOut ? -1 : outcome.exitCode,
    output: running ? '' : outcome.output,
    error: running ? '' : outcome.error,
    startTime: azureTime(new Date(startedAt)),
    ...(running ? {} : { endTime: azureTime(new Date(endsAt)) }),
    statuses: [],
  };
}
