import { GiB, MiB } from '../../lib/model/index.ts';
import { archiveFiles, databaseFiles, osFiles } from './content.ts';
import type { ImageFile } from './ext4Writer.ts';

/** Size of the file systems; the disks are larger, as a disk is that was grown and its file system was not. */
export const FILE_SYSTEM_BYTES = 256 * MiB;

/** The demo subscription: a small shop on four machines, and the resource group for workers. */
export interface DemoDisk {
  readonly name: string;
  readonly lun: number | null;
  readonly sizeBytes: number;
  /** A VHD in the storage account of the shop, from before managed disks. */
  readonly unmanaged?: true;
  files(): ImageFile[];
  /** The files that the workload changes. */
  readonly busy: readonly { readonly path: string; readonly kind: 'log' | 'database' }[];
}
export interface DemoMachine {
  readonly name: string;
  readonly size: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly disks: readonly DemoDisk[];
}

export const DEMO = {
  subscriptionId: '7d1c6f2e-0b54-4c3e-9a6f-3d0de3000002',
  subscriptionName: 'Holdfast demo',
  location: 'westeurope',
  resourceGroup: 'shop',
  workerResourceGroup: 'holdfast-workers',
  appResourceGroup: 'holdfast',
  /** Has the VHDs of unmanaged disks. */
  vhdAccount: 'shopvhds',
  vhdContainer: 'vhds',
  workerAudience: 'api://holdfast-local',
} as const;

const os = (host: string): DemoDisk => ({
  name: `${host}-os`,
  lun: null,
  sizeBytes: 2 * GiB,
  files: () => osFiles(host, `${host}-os`),
  busy: [{ path: '/var/log/app.log', kind: 'log' }],
});
const database = (host: string, lun: number): DemoDisk => ({
  name: `${host}-data`,
  lun,
  sizeBytes: GiB,
  files: () => databaseFiles(host, `${host}-data`),
  busy: [
    { path: '/db/data.db', kind: 'database' },
    { path: '/db/journal.log', kind: 'log' },
  ],
});
const archive = (host: string, lun: number): DemoDisk => ({
  name: `${host}-archive`,
  lun,
  sizeBytes: 2 * GiB,
  files: () => archiveFiles(host, `${host}-archive`),
  busy: [{ path: '/logs/current.log', kind: 'log' }],
});

export const DEMO_MACHINES: readonly DemoMachine[] = [
  { name: 'web-1', size: 'Standard_B2s', tags: { role: 'web' }, disks: [os('web-1')] },
  {
    name: 'app-1',
    size: 'Standard_D2s_v5',
    tags: { role: 'app' },
    disks: [os('app-1'), database('app-1', 0)],
  },
  {
    name: 'db-1',
    size: 'Standard_D2s_v5',
    tags: { role: 'db', tier: 'gold' },
    disks: [os('db-1'), database('db-1', 0), archive('db-1', 1)],
  },
  {
    name: 'old-1',
    size: 'Standard_D2_v3',
    tags: { role: 'fax' },
    disks: [{ ...os('old-1'), unmanaged: true }],
  },
];
