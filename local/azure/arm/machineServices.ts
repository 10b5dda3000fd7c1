/** What the files about machines share, and the small steps that several of them take. */
import type { SimulatorClock } from '../clock.ts';
import type { GuestHost } from '../guest/host.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { StorageAccounts } from '../storage/index.ts';
import type { Tokens } from '../tokens.ts';
import type { ArmApp } from './app.ts';
import type { DiskRecords } from './diskRecords.ts';
import { sameId } from './ids.ts';
import { allDisks, type MachineRecord, type MachineRecords } from './machineRecords.ts';
import { ipConfigurationsOf, type NetworkRecords } from './networkRecords.ts';
import type { Sizes } from './sizes.ts';

export interface MachineServices {
  app: ArmApp;
  machines: MachineRecords;
  disks: DiskRecords;
  network: NetworkRecords;
  sizes: Sizes;
  storage: StorageAccounts;
  tokens: Tokens;
  guests: GuestHost;
  clock: SimulatorClock;
  limits: SimulatorSettings['limits'];
}

export function fail(machine: MachineRecord, error: { code: string; message: string } | undefined): void {
  machine.provisioningState = 'Failed';
  machine.failure = error ?? { code: 'OperationCanceled', message: 'The operation was canceled.' };
}

/** Deletes what the delete options say and lets go of the rest. */
export function removeMachine(
  { machines, disks, storage, network, tokens, guests, app }: MachineServices,
  machine: MachineRecord,
): void {
  machines.machines.delete(machine.id);
  storage.release(machine.id);
  for (const attached of allDisks(machine)) {
    const disk = disks.disks.get(attached.diskId);
    if (!disk) continue;
    if (attached.deleteOption === 'Delete' || (attached === machine.osDisk && machine.osDisk.ephemeral)) {
      disks.remove(disk);
      continue;
    }
    delete disk.managedBy;
    disks.save(disk);
  }
  for (const used of machine.interfaces) {
    const nic = network.get(used.id);
    if (!nic || used.deleteOption !== 'Delete') continue;
    for (const ip of ipConfigurationsOf(nic)) {
      const address = ip.properties.publicIPAddress;
      if (address?.properties?.deleteOption === 'Delete') network.resources.delete(address.id);
    }
    network.resources.delete(nic.id);
  }
  const { principalId } = machine.identity ?? {};
  if (principalId !== undefined) {
    tokens.principals.delete(principalId);
    app.core.roles.unassign({ principalId });
  }
  guests.forget(machine);
}

/** Machines that use an interface. */
export const usersOf = (machines: MachineRecords, nicId: string): MachineRecord[] =>
  machines.machines.filter((machine) => machine.interfaces.some((used) => sameId(used.id, nicId)));
