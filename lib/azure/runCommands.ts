import type { VirtualMachineRunCommand } from '@azure/arm-compute';
import { isHoldfastError, parseArmId } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { type Operation, type OperationState, pollOperation, startOperation } from './operations.ts';
import type { Tags } from './tags.ts';

export interface RunCommandRequest {
  /** ARM id of the machine, which must be running. */
  readonly machineId: string;
  readonly location: string;
  /** Derived from the session, so that a second call finds the first one's command. */
  readonly name: string;
  /** For the shell of the guest: sh on Linux, PowerShell on Windows. It runs as root or SYSTEM. */
  readonly script: string;
  readonly timeoutSeconds: number;
  readonly tags: Tags;
}

/** How a script in a guest is going. */
export interface RunCommandInfo {
  readonly state: 'waiting' | 'running' | 'succeeded' | 'failed' | 'timedOut';
  readonly exitCode: number | null;
  /** The last of its output and of its errors; Azure keeps 4 KB of each. It may hold secrets: redact before showing. */
  readonly output: string;
  /** What the agent says of the execution. */
  readonly message: string;
}

/**
 * Scripts in guests, by managed Run Command: a resource below the machine, at most 25 of them. Needs a running machine with the
 * guest agent, and the role Holdfast Guest. The agent runs a script once for each PUT.
 */
export class RunCommands {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  static idOf(machineId: string, name: string): string {
    return `${machineId}/runCommands/${name}`;
  }

  /**
   * Starts a script. Ask for it by `find` first: a second PUT would run it again. The operation ends when the script has started,
   * and fails when there is no agent. `conflict` when the machine does not run; `notFound`; `accessDenied`.
   */
  async start(request: RunCommandRequest, options?: CallOptions): Promise<Operation> {
    const { subscriptionId, resourceGroup, name: machine } = parseArmId(request.machineId);
    const client = this.#connection.compute(subscriptionId);
    const command: VirtualMachineRunCommand = {
      location: request.location,
      tags: { ...request.tags },
      source: { script: request.script },
      asyncExecution: true,
      timeoutInSeconds: request.timeoutSeconds,
    };
    return startOperation(
      this.#connection,
      {
        what: `run a script in machine "${machine}"`,
        resourceId: RunCommands.idOf(request.machineId, request.name),
        otherwise: 'guestScriptFailed',
      },
      (call) =>
        client.virtualMachineRunCommands.createOrUpdate(resourceGroup, machine, request.name, command, call),
      options,
    );
  }

  /** One look at what `start` began: whether the agent took the script. */
  poll(operation: Operation, options?: CallOptions): Promise<OperationState> {
    return pollOperation(this.#connection, operation, options);
  }

  /** Null when there is no such command, or no such machine any more. */
  async find(machineId: string, name: string, options?: CallOptions): Promise<RunCommandInfo | null> {
    const { subscriptionId, resourceGroup, name: machine } = parseArmId(machineId);
    const { virtualMachineRunCommands } = this.#connection.compute(subscriptionId);
    try {
      const call = { ...this.#connection.call(options), expand: 'instanceView' };
      return toInfo(await virtualMachineRunCommands.getByVirtualMachine(resourceGroup, machine, name, call));
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return null;
      throw error;
    }
  }

  /** Starts to delete; a missing command is done. What still runs is ended. */
  async startRemove(machineId: string, name: string, options?: CallOptions): Promise<void> {
    const { subscriptionId, resourceGroup, name: machine } = parseArmId(machineId);
    const client = this.#connection.compute(subscriptionId);
    await startOperation(
      this.#connection,
      {
        what: `remove a run command of machine "${machine}"`,
        resourceId: RunCommands.idOf(machineId, name),
        goneIsDone: true,
      },
      (call) => client.virtualMachineRunCommands.delete(resourceGroup, machine, name, call),
      options,
    );
  }
}

function toInfo({ instanceView, provisioningState }: VirtualMachineRunCommand): RunCommandInfo {
  const {
    executionState = 'Unknown',
    exitCode,
    output = '',
    error = '',
    executionMessage = '',
  } = instanceView ?? {};
  return {
    state: stateOf(executionState, provisioningState ?? ''),
    exitCode: exitCode ?? null,
    output: [output, error]
      .map((text) => text.trim())
      .filter(Boolean)
      .join('\n'),
    message: executionMessage,
  };
}

function stateOf(execution: string, provisioning: string): RunCommandInfo['state'] {
  switch (execution) {
    case 'Succeeded':
      return 'succeeded';
    case 'Failed':
    case 'Canceled':
      return 'failed';
    case 'TimedOut':
      return 'timedOut';
    case 'Running':
      return 'running';
    default:
      return /^failed$/i.test(provisioning) ? 'failed' : 'waiting';
  }
}
