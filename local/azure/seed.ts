/** Machines that exist before anybody asks: disks from raw images or empty, a network, no guest. */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { DISKS, type DiskRecord, type DiskRecords } from './arm/diskRecords.ts';
import { newDisk } from './arm/disks.ts';
import { resourceId } from './arm/ids.ts';
import { assignIdentity } from './arm/machineIdentity.ts';
import { type AttachedDisk, MACHINES, type MachineRecord } from './arm/machineRecords.ts';
import type { MachineServices } from './arm/machineServices.ts';
import { networkRecord } from './arm/network.ts';
import { type NetworkRecord, subnetsOf } from './arm/networkRecords.ts';
import { importRaw } from './disks/index.ts';
import type { BlobPlace } from './storage/index.ts';

export interface SeedDisk {
  name?: string;
  /** A raw image; the disk is as large, rounded up to a MiB, unless `sizeBytes` says more. */
  image?: string;
  sizeBytes?: number;
  sku?: string;
  tags?: Record<string, string>;
  /** Properties in Azure's shape, kept and shown as given: `maxShares`, `networkAccessPolicy`, `encryption`, ... */
  properties?: Record<string, unknown>;
  logicalSectorSize?: number;
  /** A page blob `<container>/<name>.vhd` of this account, which must have been added, instead of a managed disk. */
  unmanaged?: { account: string; container?: string };
}

export interface SeedMachine {
  subscription: string;
  group: string;
  name: string;
  location: string;
  size?: string;
  zones?: string[];
  tags?: Record<string, string>;
  osDisk: SeedDisk & { osType?: 'Linux' | 'Windows'; ephemeral?: boolean };
  dataDisks?: (SeedDisk & { lun?: number })[];
  /** Default true: running. */
  running?: boolean;
  systemAssignedIdentity?: boolean;
  /** Other properties of the VM in Azure's shape: `securityProfile`, ... */
  properties?: Record<string, unknown>;
}

const MIB = 2 ** 20;

/** Adds the machine, or answers the one that is there. */
export async function seedMachine(services: MachineServices, order: SeedMachine): Promise<MachineRecord> {
  const { machines, app, clock, network } = services;
  const id = resourceId(order.subscription, order.group, MACHINES, order.name);
  const known = machines.get(id);
  if (known) return known;
  const location = app.core.subscriptions.requireLocation(order.subscription, order.location);
  if (!app.core.groups.get(order.subscription, order.group))
    app.core.groups.put(order.subscription, order.group, location);
  const place = {
    subscription: order.subscription,
    group: order.group,
    location,
    ...(order.zones ? { zones: order.zones } : {}),
  };
  const osType = order.osDisk.osType ?? 'Linux';
  const os = await seedAttached(
    services,
    id,
    place,
    { name: `${order.name}_OsDisk`, ...order.osDisk },
    { osType, hyperVGeneration: 'V2' },
  );
  const dataDisks: MachineRecord['dataDisks'] = [];
  for (const [index, disk] of (order.dataDisks ?? []).entries()) {
    const made = await seedAttached(
      services,
      id,
      place,
      { name: `${order.name}_DataDisk_${index}`, ...disk },
      {},
    );
    dataDisks.push({ ...made, caching: 'None', lun: disk.lun ?? index });
  }
  const nic = seedInterface(services, order, location);
  network.save(nic);
  const machine: MachineRecord = {
    id,
    subscription: order.subscription,
    group: order.group,
    name: order.name,
    location,
    tags: order.tags ?? {},
    ...(order.zones ? { zones: order.zones } : {}),
    vmId: randomUUID(),
    size: services.sizes.get(order.size ?? 'Standard_B2s').name,
    power: order.running === false ? 'deallocated' : 'running',
    provisioningState: 'Succeeded',
    timeCreated: clock.now().getTime(),
    osDisk: { ...os, osType, ephemeral: order.osDisk.ephemeral ?? false },
    dataDisks,
    imageReference: { publisher: 'Debian', offer: 'debian-12', sku: '12-gen2', version: 'latest' },
    osProfile: {
      computerName: order.name,
      adminUsername: 'azureuser',
      linuxConfiguration: { disablePasswordAuthentication: true },
      secrets: [],
      allowExtensionOperations: true,
    },
    interfaces: [{ id: nic.id, primary: true, deleteOption: 'Detach' }],
    echoed: order.properties ?? {},
  };
  // Nobody asked for it, so nobody's rights are in question.
  if (order.systemAssignedIdentity)
    assignIdentity(services, { caller: { objectId: '', clientId: '' } }, machine, { type: 'SystemAssigned' });
  machines.save(machine);
  return machine;
}

/** A disk of the machine: managed, or the page blob of a VHD. */
async function seedAttached(
  services: MachineServices,
  machineId: string,
  place: Parameters<typeof seedDisk>[2],
  order: SeedDisk & { name: string },
  more: Partial<DiskRecord>,
): Promise<AttachedDisk> {
  const createOption = more.osType === undefined ? 'Attach' : 'FromImage';
  if (!order.unmanaged)
    return attached(await seedDisk(services, machineId, place, order, more), createOption);
  const { storage, disks } = services;
  const { account: name, container = 'vhds' } = order.unmanaged;
  const account = storage.accounts.get(name);
  if (!account) throw new Error(`There is no storage account ${name}.`);
  storage.addContainer(account, container);
  const blob: BlobPlace = { account: name, container, blob: `${order.name}.vhd` };
  const imageBytes = order.image === undefined ? 0 : (await stat(order.image)).size;
  const sizeBytes = Math.max(order.sizeBytes ?? 0, Math.ceil(imageBytes / MIB) * MIB);
  if (sizeBytes === 0) throw new Error(`The disk ${order.name} needs an image or a size.`);
  const record = await storage.putVhd(blob, sizeBytes);
  if (order.image !== undefined) await importRaw(disks.store, record.content, order.image);
  storage.save({ ...record, leasedBy: machineId });
  return {
    name: order.name,
    diskId: `${blob.account}/${blob.container}/${blob.blob}`,
    unmanaged: blob,
    createOption,
    caching: 'ReadWrite',
    deleteOption: 'Detach',
  };
}

/** An empty or imported disk; `machineId` attaches it. */
export async function seedDisk(
  { disks, clock }: { disks: DiskRecords; clock: MachineServices['clock'] },
  machineId: string | undefined,
  place: Pick<DiskRecord, 'subscription' | 'group' | 'location'> & { zones?: string[] },
  order: SeedDisk & { name: string },
  more: Partial<DiskRecord>,
): Promise<DiskRecord> {
  const known = disks.disks.get(resourceId(place.subscription, place.group, DISKS, order.name));
  if (known) return known;
  const imageBytes = order.image === undefined ? 0 : (await stat(order.image)).size;
  const sizeBytes = Math.max(order.sizeBytes ?? 0, Math.ceil(imageBytes / MIB) * MIB);
  if (sizeBytes === 0) throw new Error(`The disk ${order.name} needs an image or a size.`);
  const disk = newDisk({
    ...place,
    ...more,
    name: order.name,
    sku: order.sku ?? 'Premium_LRS',
    tags: order.tags ?? {},
    creation: {
      createOption: more.osType === undefined ? 'Empty' : 'FromImage',
      ...(order.logicalSectorSize === undefined ? {} : { logicalSectorSize: order.logicalSectorSize }),
    },
    echoed: order.properties ?? {},
    sizeBytes,
    timeCreated: clock.now().getTime(),
    ...(machineId === undefined ? {} : { managedBy: machineId }),
  });
  await disks.store.create(disk.uniqueId, sizeBytes);
  if (order.image !== undefined) await importRaw(disks.store, disk.uniqueId, order.image);
  disks.save(disk);
  return disk;
}

function attached(disk: DiskRecord, createOption: 'FromImage' | 'Attach') {
  return {
    name: disk.name,
    diskId: disk.id,
    createOption,
    caching: 'ReadWrite',
    deleteOption: 'Detach',
  } as const;
}

/** An interface in the group's network, which is made when missing. */
function seedInterface({ network }: MachineServices, order: SeedMachine, location: string): NetworkRecord {
  const at = { s: order.subscription, g: order.group, location };
  const name = `${order.group}-vnet-${location}`;
  const vnet =
    network.list('virtualNetworks', at.s, at.g).find((known) => known.name === name) ??
    network.save(
      networkRecord(
        { network },
        { ...at, type: 'virtualNetworks', name },
        {
          properties: {
            addressSpace: { addressPrefixes: ['10.20.0.0/16'] },
            subnets: [{ name: 'default', properties: { addressPrefix: '10.20.0.0/24' } }],
          },
        },
      ),
    );
  const subnet = { id: `${vnet.id}/subnets/${subnetsOf(vnet)[0]?.name ?? 'default'}` };
  return networkRecord(
    { network },
    { ...at, type: 'networkInterfaces', name: `${order.name}-nic` },
    { properties: { ipConfigurations: [{ name: 'ipconfig1', properties: { subnet } }] } },
  );
}
