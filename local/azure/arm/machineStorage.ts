/** The disks of a machine: made from images or empty, attached, detached, swapped; and what refuses it. */
import { randomBytes } from 'node:crypto';
import type { SimulatorClock } from '../clock.ts';
import { ArmError, invalidParameter, notAllowed } from '../errors.ts';
import type { ArmApp, ArmRequest } from './app.ts';
import { checkSku } from './diskBodies.ts';
import { DISKS, type DiskRecord, type DiskRecords } from './diskRecords.ts';
import { newDisk, refuseGranted } from './disks.ts';
import { referredId, resourceId, sameId } from './ids.ts';
import type { DataDiskBody, OsDiskBody } from './machineBodies.ts';
import { type AttachedDisk, MACHINES, type MachineRecord } from './machineRecords.ts';

export interface StorageServices {
  app: ArmApp;
  disks: DiskRecords;
  clock: SimulatorClock;
}

/** What a machine's body says about its disks, checked; `disks` are new records whose content is still to be made. */
export interface StoragePlan {
  osDisk: MachineRecord['osDisk'];
  dataDisks: MachineRecord['dataDisks'];
  made: DiskRecord[];
}

const IMAGE_DISK_GIB = 30;

interface Place {
  subscription: string;
  group: string;
  location: string;
  name: string;
  zones?: string[];
}

/** Checks and plans all disks of a new machine, without changing anything. */
export function planStorage(
  services: StorageServices,
  request: ArmRequest,
  at: Place,
  osDisk: OsDiskBody | undefined,
  dataDisks: DataDiskBody[],
): StoragePlan {
  if (!osDisk)
    throw invalidParameter('storageProfile.osDisk', "Required parameter 'osDisk' is missing (null).");
  const made: DiskRecord[] = [];
  const os = planDisk(services, request, at, osDisk, { made, suffix: 'OsDisk_1' });
  return {
    osDisk: {
      ...os,
      osType: osDisk.osType ?? services.disks.disks.get(os.diskId)?.osType ?? 'Linux',
      ephemeral: osDisk.diffDiskSettings !== undefined,
    },
    dataDisks: planDataDisks(services, request, at, dataDisks, [], made),
    made,
  };
}

export function planDataDisks(
  services: StorageServices,
  request: ArmRequest,
  at: Place,
  wanted: DataDiskBody[],
  present: MachineRecord['dataDisks'],
  made: DiskRecord[],
): MachineRecord['dataDisks'] {
  const luns = new Set<number>();
  return wanted
    .filter((disk) => !disk.toBeDetached)
    .map((disk) => {
      if (luns.has(disk.lun))
        throw new ArmError(409, 'ConflictingUserInput', `Cannot attach two data disks at lun ${disk.lun}.`);
      luns.add(disk.lun);
      const id = disk.managedDisk?.id ?? pathOf(disk.vhd?.uri);
      const kept = present.find((known) =>
        id === undefined ? known.lun === disk.lun : sameId(known.diskId, id),
      );
      if (kept) {
        return {
          ...kept,
          lun: disk.lun,
          caching: disk.caching ?? kept.caching,
          deleteOption: disk.deleteOption ?? kept.deleteOption,
        };
      }
      return {
        ...planDisk(services, request, at, disk, { made, suffix: `DataDisk_${disk.lun}` }),
        lun: disk.lun,
      };
    });
}

function planDisk(
  services: StorageServices,
  request: ArmRequest,
  at: Place,
  body: OsDiskBody,
  how: { made: DiskRecord[]; suffix: string },
): AttachedDisk {
  const isOs = how.suffix.startsWith('Os');
  const options = {
    caching: body.caching ?? (isOs ? 'ReadWrite' : 'None'),
    deleteOption: body.deleteOption ?? 'Detach',
    ...(body.writeAcceleratorEnabled === undefined
      ? {}
      : { writeAcceleratorEnabled: body.writeAcceleratorEnabled }),
  } as const;
  if (body.vhd) {
    throw new ArmError(
      409,
      'OperationNotAllowed',
      'Virtual machines with unmanaged disks can no longer be created, and no unmanaged disk added to one.',
      { target: 'vhd' },
    );
  }
  if (body.createOption === 'Attach') {
    const disk = requireAttachable(services, request, at, body.managedDisk?.id, isOs);
    return { name: disk.name, diskId: disk.id, createOption: 'Attach', ...options };
  }
  if (isOs && body.createOption !== 'FromImage')
    throw invalidParameter(
      'osDisk.createOption',
      `The value '${body.createOption}' of parameter osDisk.createOption is invalid: FromImage or Attach.`,
    );
  if (!isOs && body.createOption === 'FromImage')
    throw invalidParameter(
      'dataDisks.createOption',
      'The simulator has no images with data disks: use Empty or Attach.',
    );
  if (!isOs && body.diskSizeGB === undefined)
    throw invalidParameter(
      'dataDisk.diskSizeGB',
      "Required parameter 'dataDisk.diskSizeGB' is missing (null).",
    );
  const name = body.name ?? `${at.name}_${how.suffix}_${randomBytes(16).toString('hex')}`;
  const id = resourceId(at.subscription, at.group, DISKS, name);
  if (services.disks.disks.has(id))
    throw new ArmError(
      409,
      'ConflictingUserInput',
      `Disk ${name} already exists in resource group ${at.group}. Only CreateOption.Attach is supported.`,
      { target: name },
    );
  const disk = newDisk({
    subscription: at.subscription,
    group: at.group,
    name,
    location: at.location,
    ...(at.zones === undefined ? {} : { zones: at.zones }),
    sku: checkSku('disk', body.managedDisk?.storageAccountType ?? 'Premium_LRS'),
    ...(isOs ? { osType: body.osType ?? 'Linux', hyperVGeneration: 'V2' } : {}),
    creation: { createOption: isOs ? 'FromImage' : 'Empty' },
    sizeBytes: (body.diskSizeGB ?? IMAGE_DISK_GIB) * 2 ** 30,
    timeCreated: services.clock.now().getTime(),
    managedBy: resourceId(at.subscription, at.group, MACHINES, at.name),
  });
  how.made.push(disk);
  return { name, diskId: id, createOption: body.createOption, ...options };
}

/** `account/container/blob`, as attached unmanaged disks are known. */
const pathOf = (uri: string | undefined): string | undefined =>
  uri === undefined ? undefined : decodeURI(new URL(uri).pathname.slice(1));

export function requireAttachable(
  services: StorageServices,
  request: ArmRequest,
  at: Place,
  id: string | undefined,
  isOs: boolean,
): DiskRecord {
  const property = isOs
    ? 'properties.storageProfile.osDisk.managedDisk.id'
    : 'properties.storageProfile.dataDisks.managedDisk.id';
  if (id === undefined)
    throw invalidParameter('managedDisk.id', "Required parameter 'managedDisk.id' is missing (null).");
  const parsed = referredId(id, DISKS, property);
  const machineId = resourceId(at.subscription, at.group, MACHINES, at.name);
  services.app.core.roles.requireLinked(
    request.caller,
    'Microsoft.Compute/virtualMachines/write',
    machineId,
    { action: 'Microsoft.Compute/disks/write', scope: id },
  );
  const disk = services.disks.disk(parsed.subscription, parsed.group, parsed.name);
  if (disk.managedBy !== undefined && !sameId(disk.managedBy, machineId)) {
    throw new ArmError(
      409,
      'AttachDiskWhileBeingDetached',
      `Cannot attach disk ${disk.name} to VM ${at.name}: it is already attached to VM ${disk.managedBy}. Detach it there first.`,
    );
  }
  if (disk.uploading)
    throw notAllowed(`Disk ${disk.name} is in upload state and cannot be attached to VM ${at.name}.`);
  refuseGranted(services.disks, disk);
  if (disk.location !== at.location)
    throw invalidParameter(
      'location',
      `Disk ${disk.name} is in ${disk.location}, VM ${at.name} in ${at.location}.`,
    );
  if (isOs && disk.osType === undefined)
    throw invalidParameter('osDisk.osType', `Disk ${disk.name} has no osType and cannot be an OS disk.`);
  return disk;
}

/** Makes the content of planned disks and their records, and marks attached ones. */
export async function carryOut(
  { disks }: StorageServices,
  machineId: string,
  plan: { made: DiskRecord[]; attached: AttachedDisk[] },
): Promise<void> {
  for (const disk of plan.made) {
    await disks.store.create(disk.uniqueId, disk.sizeBytes);
    disks.save(disk);
  }
  for (const { diskId } of plan.attached) {
    const disk = disks.disks.get(diskId);
    if (!disk || disk.managedBy !== undefined) continue;
    disk.managedBy = machineId;
    disks.save(disk);
  }
}

/** Takes the machine off disks that it no longer uses. */
export function detachOthers({ disks }: StorageServices, machineId: string, used: AttachedDisk[]): void {
  for (const disk of disks.attachedTo(machineId)) {
    if (used.some((attached) => sameId(attached.diskId, disk.id))) continue;
    delete disk.managedBy;
    disks.save(disk);
  }
}
