/** Virtual machines as the resource manager knows them. */
import { resourceNotFound } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';
import type { BlobPlace } from '../storage/index.ts';
import type { ProvisioningState } from './diskRecords.ts';
import { resourceId } from './ids.ts';
import type { Tags } from './tags.ts';

export type DeleteOption = 'Delete' | 'Detach';
export type PowerState = 'starting' | 'running' | 'stopping' | 'stopped' | 'deallocating' | 'deallocated';

export interface AttachedDisk {
  name: string;
  /** ARM id; of an unmanaged disk the path of its page blob, `account/container/blob`. */
  diskId: string;
  /** An unmanaged disk: a page blob of a storage account. */
  unmanaged?: BlobPlace;
  createOption: 'FromImage' | 'Empty' | 'Attach';
  caching: string;
  deleteOption: DeleteOption;
  writeAcceleratorEnabled?: boolean;
}

export interface MachineRecord {
  id: string;
  subscription: string;
  group: string;
  name: string;
  location: string;
  tags: Tags;
  zones?: string[];
  plan?: unknown;
  identity?: {
    type: string;
    /** Object id of the system-assigned identity. */
    principalId?: string;
    /** By ARM id. */
    userAssigned?: Record<string, { principalId: string; clientId: string }>;
  };
  vmId: string;
  size: string;
  power: PowerState;
  /** The last steady state: what a failed start or stop falls back to. */
  powerBefore?: PowerState;
  provisioningState: ProvisioningState;
  /** The error of the operation that failed last. */
  failure?: { code: string; message: string };
  timeCreated: number;
  osDisk: AttachedDisk & { osType: string; ephemeral: boolean };
  dataDisks: (AttachedDisk & { lun: number })[];
  imageReference?: Record<string, unknown>;
  osProfile?: Record<string, unknown>;
  interfaces: { id: string; primary: boolean; deleteOption: DeleteOption }[];
  /** Properties that are kept and shown as given. */
  echoed: Record<string, unknown>;
  userData?: string;
  /** Base64; never shown. */
  customData?: string;
}

export const MACHINES = 'Microsoft.Compute/virtualMachines';

export class MachineRecords {
  readonly machines: Collection<MachineRecord>;

  constructor(state: StateStore) {
    this.machines = state.collection('virtualMachines');
  }

  require(subscription: string, group: string, name: string): MachineRecord {
    const record = this.machines.get(resourceId(subscription, group, MACHINES, name));
    if (!record) throw resourceNotFound(`${MACHINES}/${name}`, group);
    return record;
  }

  get(id: string): MachineRecord | undefined {
    return this.machines.get(id);
  }

  list(subscription: string, group?: string): MachineRecord[] {
    return this.machines.filter(
      (machine) =>
        machine.subscription.toLowerCase() === subscription.toLowerCase() &&
        (group === undefined || machine.group.toLowerCase() === group.toLowerCase()),
    );
  }

  save(record: MachineRecord): void {
    this.machines.set(record.id, record);
  }
}

export const allDisks = (machine: MachineRecord): AttachedDisk[] => [machine.osDisk, ...machine.dataDisks];
