/** Both adapters of `DiskSnapshots` against the simulator, by the same suite; then what is true of page blobs alone. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AzureConnection,
  BlobSnapshots,
  closeDiskConnections,
  DiskGrants,
  managedSnapshots,
  SnapshotDisk,
  Snapshots,
  VirtualMachines,
} from '../../lib/azure/index.ts';
import { MiB } from '../../lib/model/index.ts';
import { AzureSimulator } from '../../local/azure/index.ts';
import { DELETES_SNAPSHOTS_ONLY } from '../../local/azure/roleConditions.ts';
import { describeDiskSnapshots, type SnapshotWorld } from '../conformance/diskSnapshots.ts';
import { trustAuthority } from '../support/azurite.ts';

const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';
const GROUP = 'vms';
const place = { subscriptionId: SUBSCRIPTION, resourceGroup: GROUP, location: 'westeurope' };
const SIZE = 64 * MiB;

let folder: string;
let simulator: AzureSimulator;
let connection: AzureConnection;
let app: string;
let accountUrl: string;
let machines = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-snapshots-'));
  simulator = await AzureSimulator.start({
    stateFolder: folder,
    settings: { limits: { snapshotsPerDiskIn5Minutes: 100 } },
  });
  trustAuthority(simulator.tls.caPem);
  simulator.addSubscription({ subscriptionId: SUBSCRIPTION, displayName: 'Test' });
  const { id: scope } = simulator.addResourceGroup({
    subscription: SUBSCRIPTION,
    name: GROUP,
    location: 'westeurope',
  });
  app = simulator.addPrincipal({ name: 'app' }).objectId;
  simulator.assignRole({ principalId: app, role: 'Holdfast Protect', scope });
  const account = simulator.addStorageAccount({ subscription: SUBSCRIPTION, group: GROUP, name: 'vhdstore' });
  accountUrl = account.url;
  simulator.assignRole({
    principalId: app,
    role: 'Holdfast Unmanaged Disks',
    scope: account.id,
    condition: DELETES_SNAPSHOTS_ONLY,
  });
  connection = new AzureConnection(
    { armEndpoint: simulator.url, subscriptionId: SUBSCRIPTION },
    { credential: simulator.credential(app) },
  );
});

afterAll(async () => {
  await closeDiskConnections();
  await simulator.stop();
  await rm(folder, { recursive: true, force: true });
});

async function newDisk(unmanaged: boolean, disk: { name?: string } = {}): Promise<string> {
  const name = `vm${++machines}`;
  const { id } = await simulator.addVirtualMachine({
    subscription: SUBSCRIPTION,
    group: GROUP,
    name,
    location: 'westeurope',
    osDisk: { sizeBytes: SIZE, ...disk, ...(unmanaged ? { unmanaged: { account: 'vhdstore' } } : {}) },
  });
  const { disks } = await new VirtualMachines(connection).readConfiguration(id);
  return disks[0]?.id ?? '';
}

const write = (diskId: string, offset: number, data: Buffer) => simulator.writeDisk({ diskId, offset, data });
const clear = (diskId: string, offset: number, length: number) =>
  simulator.clearDisk({ diskId, offset, length });

/** Storage as its owner's tools ask it. */
async function asOwner() {
  const owner = simulator.addPrincipal({ name: 'owner' }).objectId;
  simulator.assignRole({ principalId: owner, role: 'Owner', scope: `/subscriptions/${SUBSCRIPTION}` });
  simulator.assignRole({
    principalId: owner,
    role: 'Storage Blob Data Contributor',
    scope: `/subscriptions/${SUBSCRIPTION}`,
  });
  const { PageBlobClient } = await import('@azure/storage-blob');
  const { ComputeManagementClient } = await import('@azure/arm-compute');
  return {
    blob: (url: string) => new PageBlobClient(url, simulator.credential(owner)),
    compute: new ComputeManagementClient(simulator.credential(owner), SUBSCRIPTION, {
      endpoint: simulator.url,
    }),
  };
}

describeDiskSnapshots(
  'managed',
  (): SnapshotWorld => ({
    snapshots: managedSnapshots(new Snapshots(connection), new DiskGrants(connection)),
    place,
    disk: async () => ({ id: await newDisk(false), sizeBytes: SIZE }),
    write,
    clear,
    exists: async (diskId) => simulator.describeDisk({ diskId }).sizeBytes === SIZE,
    foreignSnapshot: async (diskId) => {
      const { compute } = await asOwner();
      const name = `foreign-${diskId.split('/').at(-1)}`;
      const creationData = { createOption: 'Copy', sourceResourceId: diskId };
      await compute.snapshots.createOrUpdate(GROUP, name, {
        location: 'westeurope',
        incremental: true,
        creationData,
      });
      return async () => (await compute.snapshots.get(GROUP, name)).name === name;
    },
  }),
);

describeDiskSnapshots(
  'unmanaged',
  (): SnapshotWorld => ({
    snapshots: new BlobSnapshots(connection),
    place,
    disk: async () => ({ id: await newDisk(true), sizeBytes: SIZE }),
    write,
    clear,
    exists: async (diskId) => simulator.describeDisk({ diskId }).sizeBytes === SIZE,
    foreignSnapshot: async (diskId) => {
      const { snapshot = '' } = await (await asOwner()).blob(diskId).createSnapshot();
      return async () => simulator.pageBlobSnapshots({ diskId }).some(({ time }) => time === snapshot);
    },
  }),
);

describe('snapshots of page blobs', () => {
  const requestOf = (sourceDiskId: string, name: string) => ({ ...place, name, sourceDiskId, tags: {} });

  test('the SAS reads the snapshot, not the disk, writes nothing, and is over within the hour', async () => {
    const snapshots = new BlobSnapshots(connection);
    const id = await newDisk(true);
    await snapshots.startCreate(requestOf(id, 'a'));
    const url = new URL(await snapshots.grantRead(snapshots.idOf(requestOf(id, 'a')), 6 * 3600));
    expect([url.searchParams.get('sr'), url.searchParams.get('sp'), url.searchParams.get('spr')]).toEqual([
      'bs',
      'r',
      'https',
    ]);
    expect(Date.parse(url.searchParams.get('se') ?? '') - simulator.now().getTime()).toBeLessThanOrEqual(
      3600_000,
    );
    url.searchParams.delete('snapshot');
    const disk = new SnapshotDisk({ sourceUrl: url.href, sizeBytes: SIZE });
    await expect(disk.read(0, 512)).rejects.toMatchObject({ code: 'accessExpired' });
  });

  test('what two runs made at the same moment is one snapshot, and goes as one', async () => {
    const snapshots = new BlobSnapshots(connection);
    const id = await newDisk(true);
    await snapshots.startCreate(requestOf(id, 'twice'));
    await snapshots.startCreate(requestOf(id, 'twice'));
    const taken = simulator.pageBlobSnapshots({ diskId: id });
    expect(taken).toHaveLength(2);
    const snapshotId = snapshots.idOf(requestOf(id, 'twice'));
    const found = await snapshots.find(snapshotId);
    expect(found?.timeCreated).toBe(new Date(taken[0]?.time ?? '').toISOString());
    const listed: string[] = [];
    for await (const info of snapshots.list({ ...place, pageBlobs: [id] }))
      if (info.sourceDiskId === id) listed.push(info.id);
    expect(listed).toEqual([snapshotId]);
    await snapshots.startRemove(snapshotId);
    expect(simulator.pageBlobSnapshots({ diskId: id })).toEqual([]);
  });

  test("of a blob whose name begins with that of another are the other blob's own", async () => {
    const snapshots = new BlobSnapshots(connection);
    const short = await newDisk(true, { name: 'disk' });
    const long = await newDisk(true, { name: 'disk.vhd' });
    expect(long.startsWith(short)).toBe(true);
    for (const id of [long, short]) await snapshots.startCreate(requestOf(id, 'same'));
    await snapshots.startRemove(snapshots.idOf(requestOf(short, 'same')));
    expect([short, long].map((diskId) => simulator.pageBlobSnapshots({ diskId }).length)).toEqual([0, 1]);
    expect(await snapshots.find(snapshots.idOf(requestOf(short, 'same')))).toBeNull();
  });

  test('of a machine that is gone are found where the blob is named', async () => {
    const snapshots = new BlobSnapshots(connection);
    const id = await newDisk(true);
    await snapshots.startCreate(requestOf(id, 'left'));
    const { compute } = await asOwner();
    await compute.virtualMachines.delete(GROUP, `vm${machines}`);
    const listed = async (pageBlobs: string[]) => {
      const found: string[] = [];
      for await (const info of snapshots.list({ ...place, pageBlobs })) found.push(info.name);
      return found.filter((name) => name === 'left');
    };
    expect([await listed([]), await listed([id])]).toEqual([[], ['left']]);
  });

  test('the role deletes snapshots and never a blob, and writes no page', async () => {
    const id = await newDisk(true);
    const { PageBlobClient } = await import('@azure/storage-blob');
    const blob = new PageBlobClient(id, simulator.credential(app));
    const { snapshot = '' } = await blob.createSnapshot();
    const refused = { code: 'AuthorizationPermissionMismatch', statusCode: 403 };
    await expect(blob.delete({ deleteSnapshots: 'include' })).rejects.toMatchObject(refused);
    await expect(blob.uploadPages(Buffer.alloc(512), 0, 512)).rejects.toMatchObject(refused);
    await expect(blob.setMetadata({ a: 'b' })).rejects.toMatchObject(refused);
    await blob.withSnapshot(snapshot).delete();
    expect(simulator.pageBlobSnapshots({ diskId: id })).toEqual([]);
  });

  test('a premium account takes one in ten minutes, and says so in our words', async () => {
    const premium = simulator.addStorageAccount({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'fastvhds',
      premium: true,
    });
    simulator.assignRole({ principalId: app, role: 'Holdfast Unmanaged Disks', scope: premium.id });
    const { id: vm } = await simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'fast',
      location: 'westeurope',
      osDisk: { sizeBytes: SIZE, unmanaged: { account: 'fastvhds' } },
    });
    const [disk] = (await new VirtualMachines(connection).readConfiguration(vm)).disks;
    expect(disk).toMatchObject({ kind: 'unmanaged', sku: 'Premium_LRS', sizeBytes: SIZE });
    const snapshots = new BlobSnapshots(connection);
    const id = disk?.id ?? '';
    await snapshots.startCreate(requestOf(id, 'first'));
    await expect(snapshots.startCreate(requestOf(id, 'second'))).rejects.toMatchObject({
      code: 'throttled',
      retryable: true,
    });
    simulator.advanceClock({ ms: 600_000 });
    await snapshots.startCreate(requestOf(id, 'second'));
  });

  test('without the role the account and the role are named', async () => {
    simulator.addStorageAccount({ subscription: SUBSCRIPTION, group: GROUP, name: 'closed' });
    const { id } = await simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'closed',
      location: 'westeurope',
      osDisk: { sizeBytes: SIZE, unmanaged: { account: 'closed' } },
    });
    await expect(new VirtualMachines(connection).readConfiguration(id)).rejects.toMatchObject({
      code: 'accessDenied',
      message: expect.stringMatching(/"Holdfast Unmanaged Disks" on storage account closed/) as string,
    });
    // Nor does it hide what is in other accounts.
    const snapshots = new BlobSnapshots(connection);
    await snapshots.startCreate(requestOf(await newDisk(true), 'beside'));
    const names: string[] = [];
    for await (const { name } of snapshots.list(place)) names.push(name);
    expect(names).toContain('beside');
  });

  test('a blob that is made anew is another disk; one that is overwritten under its old date is found out by the diff', async () => {
    const vms = new VirtualMachines(connection);
    const snapshots = new BlobSnapshots(connection);
    const id = await newDisk(true);
    const vm = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Compute/virtualMachines/vm${machines}`;
    const identity = async () => (await vms.readConfiguration(vm)).disks[0]?.uniqueId;
    const first = await identity();
    await write(id, 0, Buffer.alloc(512, 1));
    expect(await identity()).toBe(first);
    await snapshots.startCreate(requestOf(id, 'old'));
    await simulator.replacePageBlob({ diskId: id, keepCreationTime: true });
    expect(await identity()).toBe(first);
    await snapshots.startCreate(requestOf(id, 'new'));
    const [baseUrl, sourceUrl] = await Promise.all(
      ['old', 'new'].map((name) => snapshots.grantRead(snapshots.idOf(requestOf(id, name)), 3600)),
    );
    const disk = new SnapshotDisk({ sourceUrl: sourceUrl ?? '', baseUrl, sizeBytes: SIZE });
    await expect(disk.changed({ offset: 0, length: SIZE })).rejects.toMatchObject({
      code: 'diffFailed',
      target: 'BlobOverwritten',
    });
    simulator.advanceClock({ ms: 5000 });
    await simulator.replacePageBlob({ diskId: id, keepCreationTime: false });
    expect(await identity()).not.toBe(first);
  });

  test('a token goes to blob services of the cloud and nowhere else', async () => {
    const snapshots = new BlobSnapshots(connection);
    for (const url of ['https://evil.example/a/b.vhd', 'https://acct.blob.core.windows.net.evil.example/a/b'])
      await expect(snapshots.startCreate(requestOf(url, 'x'))).rejects.toMatchObject({
        code: 'diskUnsupported',
      });
    const real = new AzureConnection(
      { armEndpoint: 'https://management.azure.com', subscriptionId: SUBSCRIPTION },
      { credential: simulator.credential(app) },
    );
    const idOf = (url: string) => new BlobSnapshots(real).idOf(requestOf(url, 'x'));
    expect(idOf('http://acct.blob.core.windows.net/vhds/a%20b.vhd?x')).toBe(
      'https://acct.blob.core.windows.net/vhds/a%20b.vhd#x',
    );
    expect(idOf('https://acct.z12.blob.storage.azure.net/vhds/a.vhd')).toBe(
      'https://acct.z12.blob.storage.azure.net/vhds/a.vhd#x',
    );
    expect(() => idOf(`${accountUrl}/vhds/a.vhd`)).toThrow(/not the URL of a blob in this cloud/);
  });
});
