import type { VirtualMachine } from '@azure/arm-compute';
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
import { must, readWithBody, type WireResource } from './wire.ts';

/** Where to look for machines: a whole subscription, or one resource group of it. */
export interface MachineScope {
  readonly subscriptionId: string;
  readonly resourceGroup?: string;
}

/** The VMs to protect. Nothing here changes them. */
export class VirtualMachines {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
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

  /** The VM by ARM id, with its power state. `machineGone` when it does not exist. */
  async get(armId: string, options?: CallOptions): Promise<Machine> {
    return toMachine((await this.#read(armId, options)).value);
  }

  /**
   * Everything that recreating the VM needs: its resource and its NICs' as ARM sends them, and its managed disks. Not in it: user data,
   * secrets of the OS profile (Azure never returns them), the instance view. `machineGone`; `diskUnsupported` names a disk that cannot be
   * backed up (unmanaged, ephemeral).
   */
  async readConfiguration(armId: string, options?: CallOptions): Promise<MachineConfiguration> {
    const { value, body } = await this.#read(armId, options);
    const machine = toMachine(value);
    const attached = attachedDisks(value);
    const nics = (value.networkProfile?.networkInterfaces ?? []).map(({ id }) => must(id, 'NIC id', armId));
    const [networkInterfaces, disks] = await Promise.all([
      Promise.all(nics.map((id) => this.#readNic(id, options))),
      Promise.all(attached.map((one) => this.#readDisk(one, options))),
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

  async #readDisk(attached: AttachedDisk, options?: CallOptions): Promise<Disk> {
    const { subscriptionId, resourceGroup, name } = parseArmId(attached.id);
    const client = this.#connection.compute(subscriptionId);
    const { value, body } = await readWithBody(
      (call) => client.disks.get(resourceGroup, name, call),
      this.#connection.call(options),
    );
    return {
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
  readonly id: string;
  readonly role: 'os' | 'data';
  readonly lun: number | null;
}

function attachedDisks(vm: VirtualMachine): AttachedDisk[] {
  const profile = vm.storageProfile;
  const unsupported = (why: string) =>
    new HoldfastError(
      'diskUnsupported',
      `${why} of "${vm.name}" cannot be backed up by snapshots.`,
      vm.id === undefined ? {} : { target: vm.id },
    );
  const managed = (id: string | undefined, which: string) => {
    if (id === undefined) throw unsupported(`The ${which} is no managed disk, and that`);
    return id;
  };
  if (profile?.osDisk?.diffDiskSettings?.option) throw unsupported('The ephemeral OS disk');
  const os = profile?.osDisk
    ? [{ id: managed(profile.osDisk.managedDisk?.id, 'OS disk'), role: 'os', lun: null } as const]
    : [];
  const data = (profile?.dataDisks ?? []).map((disk) => ({
    id: managed(disk.managedDisk?.id, `data disk at LUN ${disk.lun}`),
    role: 'data' as const,
    lun: disk.lun,
  }));
  return [...os, ...data];
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
