import type { DataDisk, VirtualMachine } from '@azure/arm-compute';
import {
  type Disk,
  GiB,
  HoldfastError,
  isHoldfastError,
  type Machine,
  type MachineConfiguration,
  parseArmId,
} from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { PageBlobs } from './pageBlobs.ts';
import { must, readWithBody, type WireResource } from './wire.ts';

/** Where to look for machines: a whole subscription, or one resource group of it. */
export interface MachineScope {
  readonly subscriptionId: string;
  readonly resourceGroup?: string;
}

/** The VMs to protect. Nothing here changes them. */
export class VirtualMachines {
  readonly #connection: AzureConnection;
  readonly #pageBlobs: PageBlobs;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
    this.#pageBlobs = new PageBlobs(connection);
  }

  /** Streams the VMs of a scope, but for those that are too young to have an id. A listing has no power states (`unknown`). */
  async *list(scope: MachineScope, options?: CallOptions): AsyncIterable<Machine> {
    const { virtualMachines } = this.#connection.compute(scope.subscriptionId);
    const found =
      scope.resourceGroup === undefined
        ? virtualMachines.listAll(this.#connection.call(options))
        : virtualMachines.list(scope.resourceGroup, this.#connection.call(options));
    for await (const vm of found) if (vm.vmId !== undefined) yield toMachine(vm);
  }

  /**
   * The power states of a subscription's VMs, by ARM id in lower case: one more listing, which says little else. A VM that it does not
   * speak of is `unknown`.
   */
  async powerStates(
    subscriptionId: string,
    options?: CallOptions,
  ): Promise<Map<string, Machine['powerState']>> {
    const { virtualMachines } = this.#connection.compute(subscriptionId);
    const states = new Map<string, Machine['powerState']>();
    for await (const vm of virtualMachines.listAll({
      ...this.#connection.call(options),
      statusOnly: 'true',
    }))
      if (vm.id !== undefined) states.set(vm.id.toLowerCase(), powerStateOf(vm));
    return states;
  }

  /** The `vhd.uri` of every unmanaged disk of the VMs of a subscription. */
  async *listPageBlobs(
    { subscriptionId }: Pick<MachineScope, 'subscriptionId'>,
    options?: CallOptions,
  ): AsyncIterable<string> {
    const { virtualMachines } = this.#connection.compute(subscriptionId);
    for await (const { storageProfile } of virtualMachines.listAll(this.#connection.call(options))) {
      const disks = [storageProfile?.osDisk, ...(storageProfile?.dataDisks ?? [])];
      for (const disk of disks) if (disk?.vhd?.uri !== undefined) yield disk.vhd.uri;
    }
  }

  /** The VM by ARM id, with its power state. `machineGone` when it does not exist. */
  async get(armId: string, options?: CallOptions): Promise<Machine> {
    return toMachine((await this.#read(armId, options)).value);
  }

  /**
   * Everything that recreating the VM needs: its resource and its NICs' as ARM sends them, and its disks. Not in it: user data,
   * secrets of the OS profile (Azure never returns them), the instance view, an ephemeral OS disk, which has nothing to keep. `machineGone`;
   * of an unmanaged disk `accessDenied`, `notFound` and `diskUnsupported`, naming its blob.
   */
  async readConfiguration(armId: string, options?: CallOptions): Promise<MachineConfiguration> {
    const { value, body } = await this.#read(armId, options);
    const machine = toMachine(value);
    const attached = attachedDisks(value);
    const nics = (value.networkProfile?.networkInterfaces ?? []).map(({ id }) => must(id, 'NIC id', armId));
    const [networkInterfaces, disks] = await Promise.all([
      Promise.all(nics.map((id) => this.#readNic(id, options))),
      Promise.all(
        attached.map((one) =>
          one.vhd ? this.#readPageBlob(one, value, options) : this.#readDisk(one, options),
        ),
      ),
    ]);
    return { machine, virtualMachine: withoutInstanceView(body), networkInterfaces, disks };
  }

  async #read(armId: string, options?: CallOptions): Promise<{ value: VirtualMachine; body: WireResource }> {
    const { subscriptionId, resourceGroup, name } = parseArmId(armId);
    const client = this.#connection.compute(subscriptionId);
    try {
      return await readWithBody(
        (call) => client.virtualMachines.get(resourceGroup, name, { ...call, expand: 'instanceView' }),
        this.#connection.call(options),
      );
    } catch (error) {
      if (!isHoldfastError(error, 'notFound')) throw error;
      throw new HoldfastError('machineGone', `The machine "${name}" does not exist any more.`, {
        target: armId,
      });
    }
  }

  async #readNic(id: string, options?: CallOptions): Promise<WireResource> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    const client = this.#connection.network(subscriptionId);
    const call = this.#connection.call(options);
    return (await readWithBody((o) => client.networkInterfaces.get(resourceGroup, name, o), call)).body;
  }

  /** Restored it becomes a managed disk; its generation is 1, as of every machine with unmanaged disks. */
  async #readPageBlob(attached: AttachedDisk, vm: VirtualMachine, options?: CallOptions): Promise<Disk> {
    const { name, uniqueId, sizeBytes, tier, createdOn } = await this.#pageBlobs.read(attached.id, options);
    const osType = attached.role === 'os' ? vm.storageProfile?.osDisk?.osType : undefined;
    return {
      kind: 'unmanaged',
      id: name.url,
      name:
        attached.name ??
        name.blob
          .split('/')
          .at(-1)
          ?.replace(/\.vhd$/i, '') ??
        name.blob,
      uniqueId,
      role: attached.role,
      lun: attached.lun,
      sizeBytes,
      sectorSize: 512,
      location: vm.location,
      sku: tier?.startsWith('P') ? 'Premium_LRS' : 'Standard_LRS',
      configuration: {
        vhd: { uri: name.url },
        createdOn,
        ...(tier === null ? {} : { tier }),
        properties: osType === undefined ? {} : { osType, hyperVGeneration: 'V1' },
      },
    };
  }

  async #readDisk(attached: AttachedDisk, options?: CallOptions): Promise<Disk> {
    const { subscriptionId, resourceGroup, name } = parseArmId(attached.id);
    const client = this.#connection.compute(subscriptionId);
    const { value, body } = await readWithBody(
      (call) => client.disks.get(resourceGroup, name, call),
      this.#connection.call(options),
    );
    return {
      kind: 'managed',
      id: attached.id,
      name: value.name ?? name,
      uniqueId: must(value.uniqueId, 'uniqueId', attached.id),
      role: attached.role,
      lun: attached.lun,
      sizeBytes: value.diskSizeBytes ?? must(value.diskSizeGB, 'size', attached.id) * GiB,
      sectorSize: value.creationData?.logicalSectorSize ?? 512,
      location: value.location,
      sku: must(value.sku?.name, 'sku', attached.id),
      configuration: body,
    };
  }
}

interface AttachedDisk {
  /** ARM id; `vhd.uri` of an unmanaged disk. */
  readonly id: string;
  readonly vhd: boolean;
  /** As the machine calls it. */
  readonly name: string | null;
  readonly role: 'os' | 'data';
  readonly lun: number | null;
}

/** An ephemeral OS disk is not among them: it lives and dies with the host, and no snapshot of it can be taken. */
function attachedDisks(vm: VirtualMachine): AttachedDisk[] {
  const profile = vm.storageProfile;
  const os = profile?.osDisk;
  const attached = (disk: NonNullable<typeof os> | DataDisk, which: string) => {
    const id = disk.managedDisk?.id ?? disk.vhd?.uri;
    if (id === undefined) {
      throw new HoldfastError(
        'diskUnsupported',
        `The ${which} of "${vm.name}" is neither a managed disk nor the blob of a storage account: it cannot be backed up.`,
        vm.id === undefined ? {} : { target: vm.id },
      );
    }
    return { id, vhd: disk.managedDisk?.id === undefined, name: disk.name ?? null };
  };
  return [
    ...(os && !os.diffDiskSettings?.option
      ? [{ ...attached(os, 'OS disk'), role: 'os' as const, lun: null }]
      : []),
    ...(profile?.dataDisks ?? []).map((disk) => ({
      ...attached(disk, `data disk at LUN ${disk.lun}`),
      role: 'data' as const,
      lun: disk.lun,
    })),
  ];
}

function toMachine(vm: VirtualMachine): Machine {
  const armId = must(vm.id, 'id', vm.name ?? 'a VM');
  const { subscriptionId, resourceGroup, name } = parseArmId(armId);
  return {
    id: must(vm.vmId, 'vmId', armId).toLowerCase(),
    armId,
    name: vm.name ?? name,
    subscriptionId,
    resourceGroup,
    location: vm.location,
    powerState: powerStateOf(vm),
    tags: vm.tags ?? {},
  };
}

/** From the instance view's statuses (`PowerState/running`). What is on its way counts as where it comes from. */
export function powerStateOf(vm: VirtualMachine): Machine['powerState'] {
  const code = vm.instanceView?.statuses?.find((status) => status.code?.startsWith('PowerState/'))?.code;
  switch (code?.slice('PowerState/'.length)) {
    case 'running':
    case 'stopping':
    case 'deallocating':
      return 'running';
    case 'stopped':
    case 'starting':
      return 'stopped';
    case 'deallocated':
      return 'deallocated';
    default:
      return 'unknown';
  }
}

function withoutInstanceView(body: WireResource): WireResource {
  const { properties, ...rest } = body;
  const { instanceView: _, ...kept } = (properties ?? {}) as WireResource;
  return { ...rest, properties: kept };
}
