import type { VirtualMachine } from '@azure/arm-compute';
import { armId, HoldfastError, isHoldfastError, type Machine, parseArmId } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { powerStateOf } from './machines.ts';
import { type Operation, startOperation } from './operations.ts';
import { keyOfNobody } from './sshKey.ts';
import { checkTags, hasTag, type Tags } from './tags.ts';
import { must } from './wire.ts';

export interface WorkerRequest {
  readonly resourceGroup: string;
  /** Slot and generation, so that a replacement never meets its predecessor. At most 60 characters. */
  readonly name: string;
  readonly location: string;
  /** `Standard_D4as_v5`, ... */
  readonly size: string;
  readonly image: WorkerImage;
  readonly subnetId: string;
  /** Cloud-init text, at most 65535 bytes. The guest can read it, and so can whoever reads the disk: no secret. */
  readonly customData: string;
  readonly tags: Tags;
  /** Availability zone, e.g. `1`. */
  readonly zone?: string;
  /** Spot capacity, deallocated on eviction. */
  readonly spot?: boolean;
}

export interface WorkerImage {
  readonly publisher: string;
  readonly offer: string;
  readonly sku: string;
  readonly version: string;
}

export interface WorkerMachine {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly size: string | null;
  /** Azure's `vmId`, lower case. */
  readonly vmId: string | null;
  /** Object id of its system-assigned identity: the `oid` of its tokens. Null until Azure has made it. */
  readonly principalId: string | null;
  /** `unknown` in a listing. */
  readonly powerState: Machine['powerState'];
  /** `Creating`, `Updating`, `Succeeded`, `Failed`, `Deleting`. */
  readonly provisioningState: string;
  readonly tags: Tags;
}

const TYPE = 'Microsoft.Compute/virtualMachines';
const MAX_CUSTOM_DATA = 65_535;
/** Names of a worker's parts begin with its own and one of these. */
const OS_DISK = '-os';
const NIC = '-nic';

/**
 * VMs that do jobs. One PUT makes VM, NIC and OS disk; one DELETE removes all three. No public IP, no login. Errors of capacity
 * (`capacityUnavailable`) and quota (`quotaExceeded`) come from the start or from the operation, as Azure likes.
 */
export class WorkerMachines {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  /** The ARM id of the worker `name`. */
  idOf(resourceGroup: string, name: string): string {
    return armId(this.#connection.settings.subscriptionId, resourceGroup, TYPE, name);
  }

  /** Starts to create a worker. May be called again with the same request: the PUT then changes nothing. */
  async startCreate(request: WorkerRequest, options?: CallOptions): Promise<Operation> {
    checkTags(request.tags, request.name);
    const customData = Buffer.from(request.customData, 'utf8');
    if (customData.length > MAX_CUSTOM_DATA) {
      throw new HoldfastError(
        'invalidInput',
        `The cloud-init of "${request.name}" has ${customData.length} bytes; Azure takes ${MAX_CUSTOM_DATA}.`,
        { target: request.name },
      );
    }
    return this.#start(
      'create',
      request.resourceGroup,
      request.name,
      (client, call) =>
        client.createOrUpdate(
          request.resourceGroup,
          request.name,
          toVirtualMachine(request, customData),
          call,
        ),
      options,
    );
  }

  /** Starts a deallocated worker. The same ladder of capacity errors as creating. */
  startStart(id: string, options?: CallOptions): Promise<Operation> {
    const { resourceGroup, name } = parseArmId(id);
    return this.#start(
      'start',
      resourceGroup,
      name,
      (c, call) => c.start(resourceGroup, name, call),
      options,
    );
  }

  /** Stops a worker and frees its cores; its disk and NIC stay. A missing one is done. */
  startDeallocate(id: string, options?: CallOptions): Promise<Operation> {
    const { resourceGroup, name } = parseArmId(id);
    return this.#start(
      'deallocate',
      resourceGroup,
      name,
      (client, call) => client.deallocate(resourceGroup, name, call),
      options,
      true,
    );
  }

  /** Deletes a worker with its OS disk and NIC, without waiting for its guest. A missing one is done. */
  startRemove(id: string, options?: CallOptions): Promise<Operation> {
    const { resourceGroup, name } = parseArmId(id);
    return this.#start(
      'delete',
      resourceGroup,
      name,
      (client, call) => client.delete(resourceGroup, name, { ...call, forceDeletion: true }),
      options,
      true,
    );
  }

  /** Null when there is no such VM. */
  async find(id: string, options?: CallOptions): Promise<WorkerMachine | null> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    const { virtualMachines } = this.#connection.compute(subscriptionId);
    try {
      const call = this.#connection.call(options);
      return toWorker(await virtualMachines.get(resourceGroup, name, { ...call, expand: 'instanceView' }));
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return null;
      throw error;
    }
  }

  /** The VMs of the worker resource group that carry the tag. None when the group does not exist. */
  async list(
    resourceGroup: string,
    tag: { readonly name: string; readonly value?: string },
    options?: CallOptions,
  ): Promise<WorkerMachine[]> {
    const found: WorkerMachine[] = [];
    for await (const vm of this.#all(resourceGroup, options)) {
      if (hasTag(vm.tags, tag)) found.push(toWorker(vm));
    }
    return found;
  }

  /**
   * NICs and OS disks that a failed create or delete left: named as a worker's parts, attached to nothing, and without their VM. ARM ids.
   * Parts are listed before VMs, so that a worker that is just being made is not mistaken.
   */
  async listOrphans(resourceGroup: string, namePrefix: string, options?: CallOptions): Promise<string[]> {
    const parts: { id: string; vm: string }[] = [];
    const call = this.#connection.call(options);
    const part = (id: string | undefined, name: string | undefined, mark: string) => {
      const end = name?.lastIndexOf(mark) ?? -1;
      if (id && name?.startsWith(namePrefix) && end > 0)
        parts.push({ id, vm: name.slice(0, end).toLowerCase() });
    };
    try {
      for await (const disk of this.#connection.compute().disks.listByResourceGroup(resourceGroup, call)) {
        if (disk.managedBy === undefined && disk.diskState === 'Unattached')
          part(disk.id, disk.name, OS_DISK);
      }
      for await (const nic of this.#connection.network().networkInterfaces.list(resourceGroup, call)) {
        if (nic.virtualMachine === undefined) part(nic.id, nic.name, NIC);
      }
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return [];
      throw error;
    }
    const living = new Set<string>();
    for await (const vm of this.#all(resourceGroup, options)) living.add((vm.name ?? '').toLowerCase());
    return parts.filter(({ vm }) => !living.has(vm)).map(({ id }) => id);
  }

  /** Starts to delete one of `listOrphans`. */
  startRemoveOrphan(id: string, options?: CallOptions): Promise<Operation> {
    const { resourceGroup, type, name } = parseArmId(id);
    const disk = type.toLowerCase() === 'microsoft.compute/disks';
    return startOperation(
      this.#connection,
      { what: `delete left-over ${disk ? 'disk' : 'NIC'} "${name}"`, resourceId: id, goneIsDone: true },
      (call) =>
        disk
          ? this.#connection.compute().disks.delete(resourceGroup, name, call)
          : this.#connection.network().networkInterfaces.delete(resourceGroup, name, call),
      options,
    );
  }

  async *#all(resourceGroup: string, options?: CallOptions): AsyncIterable<VirtualMachine> {
    try {
      yield* this.#connection.compute().virtualMachines.list(resourceGroup, this.#connection.call(options));
    } catch (error) {
      if (!isHoldfastError(error, 'notFound')) throw error;
    }
  }

  #start(
    verb: string,
    resourceGroup: string,
    name: string,
    call: (
      client: ReturnType<AzureConnection['compute']>['virtualMachines'],
      options: Parameters<Parameters<typeof startOperation>[2]>[0],
    ) => { submitted(): Promise<void> },
    options?: CallOptions,
    goneIsDone = false,
  ): Promise<Operation> {
    const client = this.#connection.compute().virtualMachines;
    const resourceId = this.idOf(resourceGroup, name);
    const start = {
      what: `${verb} worker "${name}"`,
      resourceId,
      otherwise: 'unavailable',
      goneIsDone,
    } as const;
    return startOperation(this.#connection, start, (o) => call(client, o), options);
  }
}

function toVirtualMachine(request: WorkerRequest, customData: Buffer): VirtualMachine {
  const { name, location, tags, zone } = request;
  return {
    location,
    tags: { ...tags },
    ...(zone === undefined ? {} : { zones: [zone] }),
    identity: { type: 'SystemAssigned' },
    hardwareProfile: { vmSize: request.size },
    ...(request.spot
      ? { priority: 'Spot', evictionPolicy: 'Deallocate', billingProfile: { maxPrice: -1 } }
      : {}),
    storageProfile: {
      imageReference: { ...request.image },
      osDisk: {
        name: name + OS_DISK,
        createOption: 'FromImage',
        deleteOption: 'Delete',
        managedDisk: { storageAccountType: 'StandardSSD_LRS' },
      },
    },
    osProfile: {
      computerName: name,
      adminUsername: 'holdfast',
      customData: customData.toString('base64'),
      linuxConfiguration: {
        disablePasswordAuthentication: true,
        // Azure wants a key. Derived from the name, so that a repeated PUT is the same PUT.
        ssh: { publicKeys: [{ path: '/home/holdfast/.ssh/authorized_keys', keyData: keyOfNobody(name) }] },
      },
    },
    networkProfile: {
      networkApiVersion: '2022-11-01',
      networkInterfaceConfigurations: [
        {
          name: name + NIC,
          primary: true,
          deleteOption: 'Delete',
          ipConfigurations: [{ name: 'internal', primary: true, subnet: { id: request.subnetId } }],
        },
      ],
    },
  };
}

function toWorker(vm: VirtualMachine): WorkerMachine {
  const id = must(vm.id, 'id', vm.name ?? 'a VM');
  return {
    id,
    name: vm.name ?? parseArmId(id).name,
    location: vm.location,
    size: vm.hardwareProfile?.vmSize ?? null,
    vmId: vm.vmId?.toLowerCase() ?? null,
    principalId: vm.identity?.principalId ?? null,
    powerState: powerStateOf(vm),
    provisioningState: vm.provisioningState ?? 'unknown',
    tags: vm.tags ?? {},
  };
}
