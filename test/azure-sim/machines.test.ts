import type { VirtualMachine } from '@azure/arm-compute';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GROUP, groupScope, LOCATION, Rig, refused, SUBSCRIPTION } from './rig.ts';

describe('virtual machines over the official SDK', () => {
  let rig: Rig;
  let nicId: string;
  beforeAll(async () => {
    rig = await Rig.start();
    await rig.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'web',
      location: LOCATION,
      osDisk: { sizeBytes: 2 ** 30 },
      dataDisks: [{ sizeBytes: 2 ** 31 }, { sizeBytes: 2 ** 32, lun: 4 }],
    });
    const { id } = await makeNic('nic-1');
    nicId = id as string;
  });
  afterAll(() => rig.stop());

  const makeNic = async (name: string) => {
    const network = rig.network();
    const nsg = await network.networkSecurityGroups.createOrUpdate(GROUP, 'nsg', {
      location: LOCATION,
      securityRules: [],
    });
    const vnet = await network.virtualNetworks.createOrUpdate(GROUP, 'workers', {
      location: LOCATION,
      addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
      subnets: [
        {
          name: 'default',
          addressPrefix: '10.1.0.0/24',
          networkSecurityGroup: { id: nsg.id as string },
          defaultOutboundAccess: false,
        },
      ],
    });
    return network.networkInterfaces.createOrUpdate(GROUP, name, {
      location: LOCATION,
      ipConfigurations: [{ name: 'ip', subnet: { id: vnet.subnets?.[0]?.id as string } }],
    });
  };

  const body = (changes: Partial<VirtualMachine> = {}): VirtualMachine => ({
    location: LOCATION,
    hardwareProfile: { vmSize: 'Standard_D4as_v5' },
    identity: { type: 'SystemAssigned' },
    storageProfile: {
      imageReference: { publisher: 'Debian', offer: 'debian-12', sku: '12-gen2', version: 'latest' },
      osDisk: {
        createOption: 'FromImage',
        deleteOption: 'Delete',
        managedDisk: { storageAccountType: 'Premium_LRS' },
      },
    },
    osProfile: { computerName: 'w1', adminUsername: 'holdfast', adminPassword: 'not-shown' },
    networkProfile: { networkInterfaces: [{ id: nicId, primary: true, deleteOption: 'Delete' }] },
    ...changes,
  });
  const power = async (name: string) =>
    (await rig.compute().virtualMachines.instanceView(GROUP, name)).statuses?.find(({ code }) =>
      code?.startsWith('PowerState/'),
    )?.code;

  it('lists seeded machines in a group and over the subscription, with their disks attached', async () => {
    const names: (string | undefined)[] = [];
    for await (const machine of rig.compute().virtualMachines.listAll()) names.push(machine.name);
    for await (const machine of rig.compute().virtualMachines.list(GROUP)) names.push(machine.name);
    expect(names).toEqual(['web', 'web']);
    const web = await rig.compute().virtualMachines.get(GROUP, 'WEB', { expand: 'instanceView' });
    expect(web.instanceView?.statuses?.map(({ code }) => code)).toEqual([
      'ProvisioningState/succeeded',
      'PowerState/running',
    ]);
    expect(web.storageProfile?.dataDisks?.map(({ lun, diskSizeGB }) => [lun, diskSizeGB])).toEqual([
      [0, 2],
      [4, 4],
    ]);
    const disk = await rig.compute().disks.get(GROUP, web.storageProfile?.osDisk?.name as string);
    expect(disk).toMatchObject({ diskState: 'Attached', managedBy: web.id, osType: 'Linux' });
    expect(await refused(rig.compute().disks.delete(GROUP, disk.name as string))).toMatchObject({
      status: 409,
    });
    expect(
      await refused(
        rig
          .compute()
          .disks.grantAccess(GROUP, disk.name as string, { access: 'Read', durationInSeconds: 60 }),
      ),
    ).toMatchObject({
      status: 409,
      message: expect.stringContaining('currently attached to running VM web'),
    });
  });

  it('answers a machine PUT with the recorded 201 and no Location', async () => {
    const wire = {
      location: LOCATION,
      properties: {
        hardwareProfile: { vmSize: 'Standard_B2s' },
        storageProfile: {
          imageReference: { publisher: 'x' },
          osDisk: { createOption: 'FromImage', deleteOption: 'Delete' },
        },
        osProfile: { computerName: 'wire', adminUsername: 'holdfast' },
        networkProfile: {
          networkInterfaceConfigurations: [
            {
              name: 'nic',
              properties: {
                deleteOption: 'Delete',
                ipConfigurations: [
                  {
                    name: 'ip',
                    properties: {
                      subnet: {
                        id: `${groupScope()}/providers/Microsoft.Network/virtualNetworks/workers/subnets/default`,
                      },
                    },
                  },
                ],
              },
            },
          ],
        },
      },
    };
    const put = await rig.arm(
      'PUT',
      `${groupScope()}/providers/Microsoft.Compute/virtualMachines/wire?api-version=2026-04-01`,
      wire,
    );
    expect(put.status).toBe(201);
    expect(put.headers.get('location')).toBeNull();
    expect(put.headers.get('azure-asyncnotification')).toBe('Enabled');
    expect(put.headers.get('azure-asyncoperation')).toMatch(
      /\/providers\/Microsoft\.Compute\/locations\/westeurope\/operations\/[0-9a-f-]{36}\?p=/,
    );
    expect(put.headers.get('x-ms-ratelimit-remaining-resource')).toMatch(
      /PutVM3Min;\d+,Microsoft\.Compute\/PutVM30Min;\d+/,
    );
    expect(put.body).toMatchObject({
      properties: {
        vmId: expect.any(String),
        provisioningState: 'Creating',
        storageProfile: { osDisk: { deleteOption: 'Delete', diskSizeGB: 30 } },
      },
    });
    await rig.compute().virtualMachines.delete(GROUP, 'wire');
    const nics: (string | undefined)[] = [];
    for await (const nic of rig.network().networkInterfaces.list(GROUP)) nics.push(nic.name);
    expect(nics).toEqual(['web-nic', 'nic-1']);
  });

  it('runs through the life of a worker: create, deallocate, start, delete with what it owns', async () => {
    const client = rig.compute().virtualMachines;
    const created = await client.createOrUpdate(GROUP, 'worker', body());
    expect(created.identity?.principalId).toMatch(/^[0-9a-f-]{36}$/);
    expect(created.osProfile?.adminPassword).toBeUndefined();
    expect(await power('worker')).toBe('PowerState/running');
    expect(await refused(client.createOrUpdate(GROUP, 'worker', body(), { ifNoneMatch: '*' }))).toMatchObject(
      { status: 412 },
    );
    const osDisk = created.storageProfile?.osDisk?.name as string;
    expect(await refused(rig.network().networkInterfaces.delete(GROUP, 'nic-1'))).toMatchObject({
      status: 400,
      code: 'NicInUse',
    });
    await client.deallocate(GROUP, 'worker');
    expect(await power('worker')).toBe('PowerState/deallocated');
    expect((await rig.compute().disks.get(GROUP, osDisk)).diskState).toBe('Reserved');
    const sas = await rig
      .compute()
      .disks.grantAccess(GROUP, osDisk, { access: 'Read', durationInSeconds: 60 });
    expect(sas.accessSAS).toContain('sr=b&');
    expect(await refused(client.start(GROUP, 'worker'))).toMatchObject({
      status: 409,
      message: expect.stringContaining('active shared access signature outstanding'),
    });
    await rig.compute().disks.revokeAccess(GROUP, osDisk);
    await client.start(GROUP, 'worker');
    expect(await power('worker')).toBe('PowerState/running');
    await client.powerOff(GROUP, 'worker');
    expect(await power('worker')).toBe('PowerState/stopped');
    await client.delete(GROUP, 'worker');
    expect(await refused(client.get(GROUP, 'worker'))).toMatchObject({
      status: 404,
      code: 'ResourceNotFound',
    });
    expect(await refused(rig.compute().disks.get(GROUP, osDisk))).toMatchObject({ status: 404 });
    expect(await refused(rig.network().networkInterfaces.get(GROUP, 'nic-1'))).toMatchObject({ status: 404 });
    await client.delete(GROUP, 'worker');
  });

  it('swaps disks of a deallocated machine and leaves the old ones', async () => {
    const compute = rig.compute();
    const web = await compute.virtualMachines.get(GROUP, 'web');
    const old = web.storageProfile?.osDisk?.name as string;
    const snapshot = await compute.snapshots.createOrUpdate(GROUP, 'swap', {
      location: LOCATION,
      creationData: {
        createOption: 'Copy',
        sourceResourceId: web.storageProfile?.osDisk?.managedDisk?.id as string,
      },
    });
    expect(snapshot.incremental).toBe(false);
    const restored = await compute.disks.createOrUpdate(GROUP, 'restored', {
      location: LOCATION,
      creationData: { createOption: 'Copy', sourceResourceId: snapshot.id as string },
    });
    const swapped: VirtualMachine = {
      ...web,
      storageProfile: {
        ...web.storageProfile,
        osDisk: { createOption: 'FromImage', managedDisk: { id: restored.id as string } },
        dataDisks: [],
      },
    };
    expect(await refused(compute.virtualMachines.createOrUpdate(GROUP, 'web', swapped))).toMatchObject({
      status: 409,
    });
    await compute.virtualMachines.deallocate(GROUP, 'web');
    const after = await compute.virtualMachines.createOrUpdate(GROUP, 'web', swapped);
    expect(after.storageProfile?.osDisk?.name).toBe('restored');
    expect(after.storageProfile?.dataDisks).toEqual([]);
    expect((await compute.disks.get(GROUP, old)).diskState).toBe('Unattached');
    expect((await compute.disks.get(GROUP, 'web_DataDisk_0')).managedBy).toBeUndefined();
    await compute.virtualMachines.update(GROUP, 'web', { tags: { backup: 'gold' } });
    expect((await compute.virtualMachines.get(GROUP, 'web')).tags).toEqual({ backup: 'gold' });
  });

  it('refuses what exceeds the quota of cores with the recorded text, and frees them on delete', async () => {
    rig.simulator.setCoreQuota({ subscription: SUBSCRIPTION, location: LOCATION, limit: 4 });
    await makeNic('nic-q');
    const create = () =>
      rig.compute().virtualMachines.createOrUpdate(
        GROUP,
        'q',
        body({
          networkProfile: {
            networkInterfaces: [
              { id: `${groupScope()}/providers/Microsoft.Network/networkInterfaces/nic-q` },
            ],
          },
        }),
      );
    expect(await refused(create())).toMatchObject({
      status: 409,
      code: 'OperationNotAllowed',
      message: expect.stringMatching(
        /exceeding approved Total Regional Cores quota.*Location: westeurope, Current Limit: 4, Current Usage: 2, Additional Required: 4, \(Minimum\) New Limit Required: 6/,
      ),
    });
    rig.simulator.setCoreQuota({ subscription: SUBSCRIPTION, location: LOCATION, limit: 6 });
    await create();
    const usages: Record<string, number> = {};
    for await (const usage of rig.compute().usage.list(LOCATION))
      usages[usage.name.value as string] = usage.currentValue;
    expect(usages).toMatchObject({ cores: 6, standardDASv5Family: 4 });
    await rig.compute().virtualMachines.delete(GROUP, 'q');
  });

  it('refuses or fails where there is no capacity, and says so in the list of sizes', async () => {
    const shortage = { location: LOCATION, size: 'Standard_D4as_v5' };
    rig.simulator.addShortage({ ...shortage, kind: 'SkuNotAvailable' });
    await makeNic('nic-c');
    const networkProfile = {
      networkInterfaces: [{ id: `${groupScope()}/providers/Microsoft.Network/networkInterfaces/nic-c` }],
    };
    const create = () => rig.compute().virtualMachines.createOrUpdate(GROUP, 'c', body({ networkProfile }));
    expect(await refused(create())).toMatchObject({ status: 409, code: 'SkuNotAvailable' });
    const restricted: (string | undefined)[] = [];
    for await (const sku of rig.compute().resourceSkus.list({ filter: `location eq '${LOCATION}'` }))
      if (sku.restrictions?.length) restricted.push(sku.name);
    expect(restricted).toEqual(['Standard_D4as_v5']);
    rig.simulator.addShortage({ ...shortage, kind: 'AllocationFailed' });
    await expect(create()).rejects.toThrow(/The long-running operation has failed\. AllocationFailed\./);
    expect(await rig.compute().virtualMachines.get(GROUP, 'c')).toMatchObject({
      provisioningState: 'Failed',
    });
    rig.simulator.removeShortage(shortage);
    await rig.compute().virtualMachines.delete(GROUP, 'c');
  });

  it('keeps machines and their power over a restart', async () => {
    const before = await rig.compute().virtualMachines.get(GROUP, 'web');
    await rig.restart();
    expect(await rig.compute().virtualMachines.get(GROUP, 'web')).toEqual(before);
    expect(await power('web')).toBe('PowerState/deallocated');
  });
});
