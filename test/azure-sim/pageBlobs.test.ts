/** The simulator's storage accounts, asked by the official SDK and by hand. */
import { BlobServiceClient, ContainerClient, PageBlobClient } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trustAuthority } from '../support/azurite.ts';
import { GROUP, groupScope, LOCATION, Rig, SUBSCRIPTION } from './rig.ts';

const MIB = 2 ** 20;
const DISK = 8 * MIB;

describe('storage accounts', () => {
  let rig: Rig;
  let owner: string;
  let account: { id: string; url: string };
  beforeAll(async () => {
    rig = await Rig.start();
    trustAuthority(rig.simulator.tls.caPem);
    owner = rig.principal('storage owner', 'Storage Blob Data Contributor', groupScope());
    account = rig.simulator.addStorageAccount({ subscription: SUBSCRIPTION, group: GROUP, name: 'vhds1' });
    await container().create();
  });
  afterAll(() => rig.stop());

  const credential = (principal = owner) => rig.simulator.credential(principal);
  const container = () => new ContainerClient(`${account.url}/vhds`, credential());
  const blob = (name: string) => container().getPageBlobClient(name);
  const refused = (statusCode: number, code: string) =>
    expect.objectContaining({ statusCode, code }) as Error;
  const machineOf = (name: string) =>
    rig.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name,
      location: LOCATION,
      osDisk: { sizeBytes: DISK, unmanaged: { account: 'vhds1' } },
    });
  const vhdOf = (name: string) => `${account.url}/vhds/${name}_OsDisk.vhd`;

  it('keep page blobs: pages, ranges, metadata, properties', async () => {
    const one = blob('dir/one two.vhd');
    await one.create(DISK, { metadata: { a: 'b' } });
    const data = Buffer.alloc(8192, 7);
    await one.uploadPages(data, 4096, data.length);
    await one.clearPages(4096, 4096);
    expect((await one.downloadToBuffer(8192, 4096)).equals(data.subarray(0, 4096))).toBe(true);
    expect(await one.getProperties()).toMatchObject({
      contentLength: DISK,
      blobType: 'PageBlob',
      metadata: { a: 'b' },
      leaseState: 'available',
    });
    await one.setMetadata({ c: 'd' });
    expect((await one.getProperties()).metadata).toEqual({ c: 'd' });
    const { pageRange } = await one.getPageRanges();
    expect(pageRange).toEqual([{ offset: 8192, count: 4095 }]);
    await expect(one.uploadPages(data, 1, data.length)).rejects.toThrow(refused(416, 'InvalidPageRange'));
    await expect(one.create(DISK, { conditions: { ifNoneMatch: '*' } })).rejects.toThrow(
      refused(409, 'BlobAlreadyExists'),
    );
    await expect(blob('none').getPageRanges()).rejects.toThrow(refused(404, 'BlobNotFound'));
  });

  it('take snapshots that stay as they were, and say what differs between two', async () => {
    const one = blob('diff.vhd');
    await one.create(DISK, { metadata: { of: 'base' } });
    await one.uploadPages(Buffer.alloc(4096, 1), 0, 4096);
    await one.uploadPages(Buffer.alloc(4096, 1), MIB, 4096);
    const { snapshot: s1 = '' } = await one.createSnapshot();
    await one.uploadPages(Buffer.alloc(4096, 2), 0, 4096);
    await one.clearPages(MIB, 4096);
    const { snapshot: s2 = '' } = await one.createSnapshot({ metadata: { own: 'x' } });
    expect(s2 > s1).toBe(true);
    const [first, second] = [one.withSnapshot(s1), one.withSnapshot(s2)];
    expect((await first.downloadToBuffer(0, 1))[0]).toBe(1);
    expect((await second.downloadToBuffer(0, 1))[0]).toBe(2);
    expect([(await first.getProperties()).metadata, (await second.getProperties()).metadata]).toEqual([
      { of: 'base' },
      { own: 'x' },
    ]);
    expect(await second.getPageRangesDiff(0, DISK, s1)).toMatchObject({
      pageRange: [{ offset: 0, count: 4095 }],
      clearRange: [{ offset: MIB, count: 4095 }],
    });
    await expect(first.getPageRangesDiff(0, DISK, s2)).rejects.toThrow(
      refused(400, 'PreviousSnapshotCannotBeNewer'),
    );
    const never = '2001-01-01T00:00:00.0000000Z';
    await expect(second.getPageRangesDiff(0, DISK, never)).rejects.toThrow(
      refused(409, 'PreviousSnapshotNotFound'),
    );
    await expect(
      second.getPageRangesDiffForManagedDisks(0, DISK, `${one.url}?snapshot=${s1}`),
    ).rejects.toThrow(refused(400, 'UnsupportedHeaderForNonManagedDisksAccount'));
    // Put Blob over it keeps the snapshots, and ends the differences.
    await one.create(DISK);
    const { snapshot: s3 = '' } = await one.createSnapshot();
    await expect(one.withSnapshot(s3).getPageRangesDiff(0, DISK, s1)).rejects.toThrow(
      refused(409, 'BlobOverwritten'),
    );
    expect((await first.downloadToBuffer(0, 1))[0]).toBe(1);
    await expect(one.delete()).rejects.toThrow(refused(409, 'SnapshotsPresent'));
    await one.delete({ deleteSnapshots: 'only' });
    await expect(first.getProperties()).rejects.toMatchObject({ statusCode: 404 });
    await one.delete();
    await expect(one.createSnapshot()).rejects.toThrow(refused(404, 'BlobNotFound'));
  });

  it('list blobs and snapshots with metadata, page after page', async () => {
    for (const name of ['list/a', 'list/b', 'listed']) await blob(name).create(DISK);
    const { snapshot: s1 } = await blob('list/a').createSnapshot({ metadata: { mark: 'one & <two>' } });
    const { snapshot: s2 } = await blob('list/a').createSnapshot();
    const pages: unknown[][] = [];
    const listed = container()
      .listBlobsFlat({ prefix: 'list/', includeSnapshots: true, includeMetadata: true })
      .byPage({ maxPageSize: 3 });
    for await (const { segment } of listed)
      pages.push(
        segment.blobItems.map(({ name, snapshot, metadata }) => [name, snapshot, metadata?.['mark']]),
      );
    expect(pages).toEqual([
      [
        ['list/a', s1, 'one & <two>'],
        ['list/a', s2, undefined],
        ['list/a', undefined, undefined],
      ],
      [['list/b', undefined, undefined]],
    ]);
    const plain: string[] = [];
    for await (const { name } of container().listBlobsFlat({ prefix: 'list' })) plain.push(name);
    expect(plain).toEqual(['list/a', 'list/b', 'listed']);
  });

  it('let in tokens for storage with a data role, and nobody else', async () => {
    const one = blob('rights.vhd');
    await one.create(DISK);
    const status = async (headers: Record<string, string>) =>
      (await fetch(one.url, { method: 'HEAD', headers })).status;
    expect(await status({})).toBe(401);
    const { token } = await rig.simulator.issueToken({
      principalId: owner,
      resource: 'https://management.azure.com',
    });
    expect(await status({ authorization: `Bearer ${token}` })).toBe(401);
    // Owner of the subscription in ARM is nobody in the data.
    const asOwner = new PageBlobClient(one.url, credential(rig.owner));
    await expect(asOwner.downloadToBuffer(0, 512)).rejects.toThrow(
      refused(403, 'AuthorizationPermissionMismatch'),
    );
    expect(() =>
      rig.simulator.assignRole({ principalId: owner, role: 'Owner', scope: account.id, condition: 'true' }),
    ).toThrow(/does not know the condition/);
  });

  it('a delegation key lasts seven days at most; a SAS does what it says, while it lasts, and is not to be altered', async () => {
    const { SasIssuer } = await import('../../lib/azure/index.ts');
    const service = new BlobServiceClient(account.url, credential());
    const now = Date.now();
    await expect(
      service.getUserDelegationKey(new Date(now), new Date(now + 8 * 24 * 3600_000)),
    ).rejects.toThrow(refused(400, 'OutOfRangeInput'));
    const one = blob('sas.vhd');
    await one.create(DISK);
    const { snapshot = '' } = await one.createSnapshot();
    const issuer = new SasIssuer(account.url, credential());
    const { url } = await issuer.forSnapshot('vhds', 'sas.vhd', snapshot, 600);
    const get = async (change: (asked: URL) => void = () => undefined, method = 'GET') => {
      const asked = new URL(url);
      change(asked);
      return (await fetch(asked, { method, headers: { 'x-ms-range': 'bytes=0-511' } })).status;
    };
    expect(await get()).toBe(206);
    expect(await get(({ searchParams }) => searchParams.set('sp', 'rw'))).toBe(403);
    expect(await get(({ searchParams }) => searchParams.set('se', '2099-01-01T00:00:00Z'))).toBe(403);
    expect(
      await get(({ searchParams }) => searchParams.set('snapshot', '2001-01-01T00:00:00.0000000Z')),
    ).toBe(403);
    expect(await get(({ searchParams }) => searchParams.delete('snapshot'))).toBe(403);
    expect(await get(() => undefined, 'DELETE')).toBe(403);
    // Whoever signed must still have the right.
    rig.simulator.unassignRole({ principalId: owner });
    expect(await get()).toBe(403);
    rig.simulator.assignRole({
      principalId: owner,
      role: 'Storage Blob Data Contributor',
      scope: groupScope(),
    });
    expect(await get()).toBe(206);
    rig.simulator.advanceClock({ ms: 3600_000 });
    expect(await get()).toBe(403);
  });

  it('a machine holds its disk by a lease, shows its URL, and lets go when it is deleted', async () => {
    await machineOf('old');
    const vm = await rig.compute().virtualMachines.get(GROUP, 'old');
    expect(vm.storageProfile?.osDisk).toMatchObject({ vhd: { uri: vhdOf('old') } });
    expect(vm.storageProfile?.osDisk?.managedDisk).toBeUndefined();
    const disk = new PageBlobClient(vhdOf('old'), credential());
    const { leaseState, contentLength } = await disk.getProperties();
    expect([leaseState, contentLength]).toEqual(['leased', DISK + 512]);
    expect((await disk.downloadToBuffer(DISK, 8)).toString('latin1')).toBe('conectix');
    await expect(disk.uploadPages(Buffer.alloc(512), 0, 512)).rejects.toThrow(refused(412, 'LeaseIdMissing'));
    await expect(disk.delete()).rejects.toThrow(refused(412, 'LeaseIdMissing'));
    await disk.createSnapshot();
    // An update that repeats what is there is one; a new machine of this kind is none.
    const body = { location: LOCATION, storageProfile: vm.storageProfile ?? {}, tags: { a: 'b' } };
    await rig.compute().virtualMachines.createOrUpdate(GROUP, 'old', body);
    await expect(
      rig.compute().virtualMachines.createOrUpdate(GROUP, 'new', {
        location: LOCATION,
        storageProfile: {
          osDisk: { createOption: 'Attach', osType: 'Linux', name: 'x', vhd: { uri: vhdOf('old') } },
        },
      }),
    ).rejects.toThrow(/unmanaged disks can no longer be created/);
    await rig.compute().virtualMachines.delete(GROUP, 'old');
    await disk.delete({ deleteSnapshots: 'include' });
  });

  it('what was written outlives a restart, snapshots and all', async () => {
    await machineOf('lasting');
    await rig.simulator.writeDisk({ diskId: vhdOf('lasting'), offset: 0, data: Buffer.alloc(4096, 5) });
    await new PageBlobClient(vhdOf('lasting'), credential()).createSnapshot();
    const before = rig.simulator.pageBlobSnapshots({ diskId: vhdOf('lasting') });
    await rig.restart();
    account = { ...account, url: `${rig.simulator.url}/vhds1` };
    expect(rig.simulator.pageBlobSnapshots({ diskId: vhdOf('lasting') })).toEqual(before);
    const snapshot = new PageBlobClient(vhdOf('lasting'), credential()).withSnapshot(before[0]?.time ?? '');
    expect((await snapshot.downloadToBuffer(0, 4096)).equals(Buffer.alloc(4096, 5))).toBe(true);
  });
});
