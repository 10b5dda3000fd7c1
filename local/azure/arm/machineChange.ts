/** PUT and PATCH of a machine that exists: tags, identity, data disks, the swap of the OS disk, size. */
import { ArmError, notAllowed } from '../errors.ts';
import type { ArmRequest } from './app.ts';
import type { DiskRecord } from './diskRecords.ts';
import { sameId } from './ids.ts';
import { checkBase64, echoedMachineProperties, type MachinePatch } from './machineBodies.ts';
import { assignIdentity } from './machineIdentity.ts';
import type { MachineRecord } from './machineRecords.ts';
import type { MachineServices } from './machineServices.ts';
import { carryOut, detachOthers, planDataDisks, requireAttachable } from './machineStorage.ts';

export async function changeMachine(
  services: MachineServices,
  request: ArmRequest,
  machine: MachineRecord,
  body: MachinePatch,
): Promise<void> {
  if (machine.provisioningState === 'Deleting') throw notAllowed(`VM '${machine.name}' is being deleted.`);
  const properties = body.properties ?? {};
  const place = {
    subscription: machine.subscription,
    group: machine.group,
    location: machine.location,
    name: machine.name,
  };
  const { osDisk, dataDisks } = properties.storageProfile ?? {};
  const customData = properties.osProfile?.customData;
  if (customData !== undefined && customData !== machine.customData) {
    throw new ArmError(
      409,
      'PropertyChangeNotAllowed',
      "Changing property 'osProfile.customData' is not allowed.",
      { target: 'osProfile.customData' },
    );
  }
  const made: DiskRecord[] = [];
  const planned =
    dataDisks === undefined
      ? machine.dataDisks
      : planDataDisks(services, request, place, dataDisks, machine.dataDisks, made);
  const os =
    osDisk?.managedDisk?.id !== undefined && !sameId(osDisk.managedDisk.id, machine.osDisk.diskId)
      ? swap(services, request, machine, osDisk.managedDisk.id)
      : machine.osDisk;
  resize(services, machine, properties.hardwareProfile?.vmSize);
  if (body.identity) assignIdentity(services, request, machine, body.identity);
  if (properties.userData !== undefined) {
    checkBase64(properties.userData, 'userData');
    machine.userData = properties.userData;
  }
  machine.osDisk = {
    ...os,
    caching: osDisk?.caching ?? os.caching,
    deleteOption: osDisk?.deleteOption ?? os.deleteOption,
  };
  machine.dataDisks = planned;
  if (body.tags) machine.tags = body.tags;
  machine.echoed = { ...machine.echoed, ...echoedMachineProperties(properties) };
  machine.provisioningState = 'Updating';
  const used = [machine.osDisk, ...planned];
  await carryOut(services, machine.id, { made, attached: used });
  services.machines.save(machine);
  detachOthers(services, machine.id, used);
}

function swap(
  services: MachineServices,
  request: ArmRequest,
  machine: MachineRecord,
  id: string,
): MachineRecord['osDisk'] {
  if (machine.power !== 'deallocated' && machine.power !== 'stopped') {
    throw new ArmError(
      409,
      'OperationNotAllowed',
      `The OS disk of VM '${machine.name}' can be swapped only when the VM is deallocated or stopped.`,
      { target: 'osDisk' },
    );
  }
  const place = {
    subscription: machine.subscription,
    group: machine.group,
    location: machine.location,
    name: machine.name,
  };
  const disk = requireAttachable(services, request, place, id, true);
  return { ...machine.osDisk, name: disk.name, diskId: disk.id, createOption: machine.osDisk.createOption };
}

function resize({ sizes }: MachineServices, machine: MachineRecord, wanted: string | undefined): void {
  if (wanted === undefined || wanted.toLowerCase() === machine.size.toLowerCase()) return;
  const [before, after] = [sizes.get(machine.size), sizes.get(wanted)];
  const failure = sizes.requireAvailable(machine.location, after.name, machine.zones?.[0]);
  if (failure) throw new ArmError(409, failure.code, failure.message);
  sizes.requireQuota(machine.subscription, machine.location, Math.max(0, after.cores - before.cores));
  machine.size = after.name;
}
