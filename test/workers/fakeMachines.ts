import { type Failure, HoldfastError } from '../../lib/model/index.ts';
import type {
  CreateWorker,
  Pending,
  PendingState,
  WorkerMachine,
  WorkerMachines,
} from '../../lib/workers/workerMachines.ts';

interface Vm extends WorkerMachine {
  readonly request: CreateWorker;
}

/** VMs in memory. What is asked for happens at the next `settle`; refusals are set by size and must be met. */
export class FakeMachines implements WorkerMachines {
  readonly vms = new Map<string, Vm>();
  readonly calls: string[] = [];
  /** Sizes that are refused at once, and sizes whose operation fails. */
  readonly refused = new Map<string, Failure>();
  readonly failing = new Map<string, Failure>();
  startRefusal: Failure | null = null;
  #operations: { state: PendingState; end: () => PendingState }[] = [];

  create(request: CreateWorker): Promise<Pending> {
    const { name, size } = request;
    this.calls.push(`create ${name} ${size}`);
    const refusal = this.refused.get(size);
    if (refusal) return Promise.reject(new HoldfastError(refusal.code, refusal.message));
    const vm = this.vms.get(name) ?? {
      name,
      vmId: `/vm/${name}`,
      powerState: 'unknown',
      provisioningState: 'creating',
      principalId: `oid-${name}`,
      request,
    };
    this.vms.set(name, vm);
    const failure = this.failing.get(size);
    return this.#operation(() => {
      if (failure) {
        this.#set(name, { provisioningState: 'failed' });
        return { status: 'failed', failure };
      }
      this.#set(name, { provisioningState: 'succeeded', powerState: 'running' });
      return { status: 'succeeded' };
    });
  }

  start(name: string): Promise<Pending> {
    this.calls.push(`start ${name}`);
    if (this.startRefusal)
      return Promise.reject(new HoldfastError(this.startRefusal.code, this.startRefusal.message));
    return this.#operation(() => this.#set(name, { powerState: 'running' }));
  }

  deallocate(name: string): Promise<Pending> {
    this.calls.push(`deallocate ${name}`);
    return this.#operation(() => this.#set(name, { powerState: 'deallocated' }));
  }

  remove(name: string): Promise<Pending> {
    this.calls.push(`remove ${name}`);
    this.#set(name, { provisioningState: 'deleting' });
    return this.#operation(() => {
      this.vms.delete(name);
      return { status: 'succeeded' };
    });
  }

  poll(pending: Pending): Promise<PendingState> {
    const state = this.#operations[Number(pending)]?.state;
    return Promise.resolve(state ?? { status: 'succeeded' });
  }

  get(name: string): Promise<WorkerMachine | null> {
    return Promise.resolve(this.vms.get(name) ?? null);
  }

  listOwned(): Promise<WorkerMachine[]> {
    return Promise.resolve([...this.vms.values()]);
  }

  removeLeftovers(): Promise<string[]> {
    return Promise.resolve([]);
  }

  /** Everything that was asked for has come about. */
  settle(): void {
    for (const operation of this.#operations) {
      if (operation.state.status === 'running') operation.state = operation.end();
    }
  }

  names(): string[] {
    return [...this.vms.keys()].sort();
  }

  #operation(end: () => PendingState): Promise<Pending> {
    return Promise.resolve(this.#operations.push({ state: { status: 'running' }, end }) - 1);
  }

  #set(name: string, change: Partial<WorkerMachine>): PendingState {
    const vm = this.vms.get(name);
    if (vm) this.vms.set(name, { ...vm, ...change });
    return { status: 'succeeded' };
  }
}
