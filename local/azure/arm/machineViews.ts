/** Virtual machines as ARM shows them. */

import { azureTime, type SimulatorClock } from '../clock.ts';
import { type DiskRecords, gibibytes } from './diskRecords.ts';
import type { ResourceView } from './ids.ts';
import { type AttachedDisk, MACHINES, type MachineRecord } from './machineRecords.ts';

export interface MachineViewOptions {
  instanceView?: boolean;
  userData?: boolean;
}

export function machineView(
  machine: MachineRecord,
  disks: DiskRecords,
  tenantId: string,
  clock: SimulatorClock,
  options: MachineViewOptions & { base: string },
): ResourceView {
  const { osDisk } = machine;
  return {
    name: machine.name,
    id: machine.id,
    type: MACHINES,
    location: machine.location,
    tags: machine.tags,
    ...(machine.zones === undefined ? {} : { zones: machine.zones }),
    ...(machine.plan === undefined ? {} : { plan: machine.plan }),
    ...(machine.identity === undefined ? {} : { identity: identityView(machine.identity, tenantId) }),
    properties: {
      vmId: machine.vmId,
      hardwareProfile: { vmSize: machine.size },
      provisioningState: machine.provisioningState,
      storageProfile: {
        ...(machine.imageReference === undefined
          ? {}
          : {
              imageReference: {
                ...machine.imageReference,
                exactVersion: exactVersion(machine.imageReference),
              },
            }),
        osDisk: {
          osType: osDisk.osType,
          ...diskOf(osDisk, disks, options.base),
          ...(osDisk.ephemeral ? { diffDiskSettings: { option: 'Local' } } : {}),
        },
        dataDisks: machine.dataDisks.map((disk) => ({
          lun: disk.lun,
          ...diskOf(disk, disks, options.base),
          toBeDetached: false,
        })),
        ...(machine.echoed.diskControllerType === undefined
          ? {}
          : { diskControllerType: machine.echoed.diskControllerType }),
      },
      ...(machine.osProfile === undefined ? {} : { osProfile: machine.osProfile }),
      networkProfile: {
        networkInterfaces: machine.interfaces.map((nic) => ({
          id: nic.id,
          properties: { primary: nic.primary, deleteOption: nic.deleteOption },
        })),
      },
      ...Object.fromEntries(Object.entries(machine.echoed).filter(([name]) => name !== 'diskControllerType')),
      timeCreated: azureTime(new Date(machine.timeCreated)),
      ...(options.userData && machine.userData !== undefined ? { userData: machine.userData } : {}),
      ...(options.instanceView ? { instanceView: instanceView(machine, clock) } : {}),
    },
  };
}

function diskOf(attached: AttachedDisk, disks: DiskRecords, base: string): object {
  if (attached.unmanaged) {
    const { account, container, blob } = attached.unmanaged;
    return {
      name: attached.name,
      vhd: { uri: `${base}/${account}/${container}/${blob}` },
      createOption: attached.createOption,
      caching: attached.caching,
      deleteOption: attached.deleteOption,
    };
  }
  const disk = disks.disks.get(attached.diskId);
  return {
    name: attached.name,
    createOption: attached.createOption,
    caching: attached.caching,
    ...(attached.writeAcceleratorEnabled === undefined
      ? {}
      : { writeAcceleratorEnabled: attached.writeAcceleratorEnabled }),
    managedDisk: { ...(disk ? { storageAccountType: disk.sku } : {}), id: attached.diskId },
    deleteOption: attached.deleteOption,
    ...(disk ? { diskSizeGB: gibibytes(disk.sizeBytes) } : {}),
  };
}

function exactVersion(reference: Record<string, unknown>): unknown {
  return reference.version === undefined || reference.version === 'latest'
    ? '1.0.202611010'
    : reference.version;
}

function identityView(identity: NonNullable<MachineRecord['identity']>, tenantId: string): object {
  return {
    type: identity.type,
    ...(identity.principalId === undefined ? {} : { principalId: identity.principalId, tenantId }),
    ...(identity.userAssigned === undefined ? {} : { userAssignedIdentities: identity.userAssigned }),
  };
}

const POWER_TEXT = {
  starting: 'VM starting',
  running: 'VM running',
  stopping: 'VM stopping',
  stopped: 'VM stopped',
  deallocating: 'VM deallocating',
  deallocated: 'VM deallocated',
};

export function instanceView(machine: MachineRecord, clock: SimulatorClock): object {
  const time = azureTime(clock.now());
  const state = machine.provisioningState.toLowerCase();
  const running = machine.power === 'running';
  return {
    computerName: running ? (machine.osProfile?.computerName ?? machine.name) : undefined,
    vmAgent: running
      ? {
          vmAgentVersion: '2.11.1.12',
          statuses: [
            {
              code: 'ProvisioningState/succeeded',
              level: 'Info',
              displayStatus: 'Ready',
              message: 'Guest Agent is running',
              time,
            },
          ],
        }
      : undefined,
    disks: [machine.osDisk, ...machine.dataDisks].map((disk) => ({
      name: disk.name,
      statuses: [
        { code: 'ProvisioningState/succeeded', level: 'Info', displayStatus: 'Provisioning succeeded', time },
      ],
    })),
    hyperVGeneration: 'V2',
    statuses: [
      machine.failure === undefined
        ? { code: `ProvisioningState/${state}`, level: 'Info', displayStatus: `Provisioning ${state}`, time }
        : {
            code: `ProvisioningState/failed/${machine.failure.code}`,
            level: 'Error',
            displayStatus: 'Provisioning failed',
            message: machine.failure.message,
            time,
          },
      { code: `PowerState/${machine.power}`, level: 'Info', displayStatus: POWER_TEXT[machine.power] },
    ],
  };
}
