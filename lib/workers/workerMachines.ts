import type { Failure, Machine } from '../model/index.ts';

/** What is asked of the cloud for one worker. Nothing in it is secret. */
export interface CreateWorker {
  /** Name of the VM; its NIC's and OS disk's begin with it. */
  readonly name: string;
  readonly location: string;
  readonly size: string;
  /** Availability zone; null: the platform chooses. */
  readonly zone: string | null;
  /** cloud-config, plain text; the adapter encodes it. */
  readonly customData: string;
  /** On the VM, so that `listOwned` finds it. */
  readonly tags: Readonly<Record<string, string>>;
}

export interface WorkerMachine {
  readonly name: string;
  /** ARM id. */
  readonly vmId: string;
  /** `unknown` in a listing. */
  readonly powerState: Machine['powerState'];
  /** As ARM says it, in lower case: `creating`, `updating`, `succeeded`, `failed`, `deleting`. */
  readonly provisioningState: string;
  /** The object id of the VM's system-assigned identity; null until ARM tells it. */
  readonly principalId: string | null;
}

/** Something started, as JSON that a row may hold; only the adapter looks into it. */
export type Pending = unknown;

export type PendingState =
  | { readonly status: 'running' | 'succeeded' }
  | { readonly status: 'failed'; readonly failure: Failure };

/**
 * The VMs of workers, by name. Every call *starts* something and returns in seconds, when Azure has accepted it; what comes of it is seen
 * with `poll` and `get`. Every call may be repeated. `capacityUnavailable` and `quotaExceeded` are thrown, or come from `poll`, as
 * Azure likes.
 */
export interface WorkerMachines {
  /** Creates the VM with a system-assigned identity, without public IP; all its parts go with it when it is deleted. */
  create(request: CreateWorker): Promise<Pending>;
  /** Starts a deallocated VM. */
  start(name: string): Promise<Pending>;
  /** Stops the VM and gives its cores back; disk and identity stay. */
  deallocate(name: string): Promise<Pending>;
  /** Deletes the VM and its parts. One that is gone is no error. */
  remove(name: string): Promise<Pending>;
  poll(pending: Pending): Promise<PendingState>;
  /** Null if there is no VM of that name. */
  get(name: string): Promise<WorkerMachine | null>;
  /** All VMs that carry the tags of this installation's workers, whatever their state. */
  listOwned(): Promise<WorkerMachine[]>;
  /** Deletes disks and NICs that a failed create or delete left, and returns their names or ids. */
  removeLeftovers(): Promise<string[]>;
}
