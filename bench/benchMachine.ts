import type { MachineConfiguration } from '../lib/model/index.ts';

/** The machine whose disks are measured: nothing looks into its configuration. */
export const MACHINE = '00000000-0000-4000-8000-000000000001';

export const CONFIGURATION: MachineConfiguration = {
  machine: {
    id: MACHINE,
    armId: '/subscriptions/s/vm',
    name: 'vm',
    subscriptionId: 's',
    resourceGroup: 'rg',
    location: 'westeurope',
    powerState: 'running',
    tags: {},
  },
  virtualMachine: {},
  networkInterfaces: [],
  disks: [],
};
