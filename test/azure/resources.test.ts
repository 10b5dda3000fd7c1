import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DiskUploads } from '../../lib/azure/diskUploads.ts';
import { VirtualMachines } from '../../lib/azure/machines.ts';
import { Snapshots } from '../../lib/azure/snapshots.ts';
import { checkTags } from '../../lib/azure/tags.ts';
import { WorkerMachines } from '../../lib/azure/workerMachines.ts';
import { ensureWorkerNetwork } from '../../lib/azure/workerNetwork.ts';
import { GiB, isHoldfastError, machineConfigurationSchema } from '../../lib/model/index.ts';
import { failure } from './failure.ts';
import { armError, ScriptedArm, SUBSCRIPTION } from './scriptedArm.ts';

const arm = new ScriptedArm();
beforeAll(() => arm.start());
beforeEach(() => arm.reset());
afterAll(() => arm.stop());

const base = `/subscriptions/${SUBSCRIPTION}/resourceGroups/vms/providers`;
const all = async <T>(items: AsyncIterable<T>) => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};

const vm = {
  name: 'web1',
  id: `${base}/Microsoft.Compute/virtualMachines/web1`,
  type: 'Microsoft.Compute/virtualMachines',
  location: 'westeurope',
  tags: { backup: 'gold' },
  zones: ['1'],
  properties: {
    vmId: 'A1B2C3D4-0000-4000-8000-00000000ABCD',
    provisioningState: 'Succeeded',
    hardwareProfile: { vmSize: 'Standard_D4as_v5' },
    storageProfile: {
      osDisk: {
        osType: 'Linux',
        name: 'web1-os',
        createOption: 'FromImage',
        managedDisk: { id: `${base}/Microsoft.Compute/disks/web1-os` },
      },
      dataDisks: [
        {
          lun: 3,
          name: 'web1-data',
          createOption: 'Attach',
          managedDisk: { id: `${base}/Microsoft.Compute/disks/web1-data` },
        },
      ],
    },
    networkProfile: {
      networkInterfaces: [
        { id: `${base}/Microsoft.Network/networkInterfaces/web1-nic`, properties: { primary: true } },
      ],
    },
  },
};
const instanceView = {
  statuses: [
    { code: 'ProvisioningState/succeeded', level: 'Info' },
    { code: 'PowerState/running', level: 'Info', displayStatus: 'VM running' },
  ],
};
const nic = {
  name: 'web1-nic',
  id: `${base}/Microsoft.Network/networkInterfaces/web1-nic`,
  location: 'westeurope',
  properties: {
    provisioningState: 'Succeeded',
    ipConfigurations: [{ name: 'ip', properties: { privateIPAddress: '10.0.0.4' } }],
  },
};
const disk = (name: string, properties: object) => ({
  name,
  id: `${base}/Microsoft.Compute/disks/${name}`,
  location: 'westeurope',
  sku: { name: 'Premium_LRS', tier: 'Premium' },
  properties: {
    provisioningState: 'Succeeded',
    diskState: 'Attached',
    timeCreated: '2022-06-01T10:08:39.8704151-04:00',
    creationData: { createOption: 'Empty' },
    uniqueId: `unique-${name}`,
    ...properties,
  },
});

describe('machines', () => {
  const serve = (machine: object = vm) => {
    arm.on('GET', /virtualMachines\/web1$/, ({ query }) => ({
      status: 200,
      body:
        query.get('$expand') === 'instanceView'
          ? { ...machine, properties: { ...(machine as typeof vm).properties, instanceView } }
          : machine,
    }));
    arm.on('GET', /networkInterfaces\/web1-nic$/, { status: 200, body: nic });
    arm.on('GET', /disks\/web1-os$/, { status: 200, body: disk('web1-os', { diskSizeGB: 30 }) });
    arm.on('GET', /disks\/web1-data$/, {
      status: 200,
      body: disk('web1-data', {
        diskSizeGB: 1,
        diskSizeBytes: GiB + 512,
        creationData: { createOption: 'Empty', logicalSectorSize: 4096 },
      }),
    });
  };

  it('are read with all that recreating them needs, as Azure says it', async () => {
    serve();
    const read = await new VirtualMachines(arm.connection()).readConfiguration(vm.id);
    expect(machineConfigurationSchema.parse(read)).toEqual({
      machine: {
        id: 'a1b2c3d4-0000-4000-8000-00000000abcd',
        armId: vm.id,
        name: 'web1',
        subscriptionId: SUBSCRIPTION,
        resourceGroup: 'vms',
        location: 'westeurope',
        powerState: 'running',
        tags: { backup: 'gold' },
      },
      virtualMachine: vm,
      networkInterfaces: [nic],
      disks: [
        {
          kind: 'managed',
          id: `${base}/Microsoft.Compute/disks/web1-os`,
          name: 'web1-os',
          uniqueId: 'unique-web1-os',
          role: 'os',
          lun: null,
          sizeBytes: 30 * GiB,
          sectorSize: 512,
          location: 'westeurope',
          sku: 'Premium_LRS',
          configuration: disk('web1-os', { diskSizeGB: 30 }),
        },
        expect.objectContaining({
          name: 'web1-data',
          role: 'data',
          lun: 3,
          sizeBytes: GiB + 512,
          sectorSize: 4096,
        }),
      ],
    });
  });

  it.each([
    ['PowerState/running', 'running'],
    ['PowerState/deallocating', 'running'],
    ['PowerState/stopped', 'stopped'],
    ['PowerState/deallocated', 'deallocated'],
    ['ProvisioningState/creating', 'unknown'],
  ])('with %s are %s', async (code, powerState) => {
    const statuses = [{ code }];
    arm.on('GET', /web1$/, {
      status: 200,
      body: { ...vm, properties: { ...vm.properties, instanceView: { statuses } } },
    });
    expect((await new VirtualMachines(arm.connection()).get(vm.id)).powerState).toBe(powerState);
  });

  it('that are gone say so', async () => {
    expect(await failure(new VirtualMachines(arm.connection()).get(vm.id))).toMatchObject({
      code: 'machineGone',
      target: vm.id,
    });
  });

  it('with a disk on a host that is no blob service are refused, and nothing is sent there', async () => {
    const storageProfile = { osDisk: { createOption: 'FromImage', vhd: { uri: 'https://acc/vhds/os.vhd' } } };
    serve({ ...vm, properties: { ...vm.properties, storageProfile } });
    expect(await failure(new VirtualMachines(arm.connection()).readConfiguration(vm.id))).toMatchObject({
      code: 'diskUnsupported',
      target: 'https://acc/vhds/os.vhd',
    });
  });

  it('are listed page after page, in a group or a subscription', async () => {
    arm.on('GET', /providers\/Microsoft.Compute\/virtualMachines$/, ({ query, path }) => ({
      status: 200,
      body: query.has('skip')
        ? { value: [{ ...vm, name: 'web2', id: vm.id.replace('web1', 'web2') }] }
        : { value: [vm], nextLink: `${arm.base}${path}?api-version=1&skip=1` },
    }));
    const machines = new VirtualMachines(arm.connection());
    const listed = await all(machines.list({ subscriptionId: SUBSCRIPTION }));
    expect(listed.map(({ name, powerState }) => [name, powerState])).toEqual([
      ['web1', 'unknown'],
      ['web2', 'unknown'],
    ]);
    expect(await all(machines.list({ subscriptionId: SUBSCRIPTION, resourceGroup: 'vms' }))).toEqual(listed);
    // The refusal of the test before leaves a request of its own on the way.
    const asked = arm.seen.map(({ path }) => path).filter((path) => path.endsWith('/virtualMachines'));
    const subscription = `/subscriptions/${SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines`;
    const group = subscription.replace('/providers/', '/resourceGroups/vms/providers/');
    expect(asked).toEqual([subscription, subscription, group, group]);
  });
});

describe('snapshots', () => {
  const snapshot = (name: string, properties: object = {}, tags: Record<string, string> = {}) => ({
    name,
    id: `${base}/Microsoft.Compute/snapshots/${name}`,
    type: 'Microsoft.Compute/snapshots',
    location: 'westeurope',
    tags,
    sku: { name: 'Standard_ZRS', tier: 'Standard' },
    properties: {
      osType: 'Linux',
      creationData: {
        createOption: 'Copy',
        sourceResourceId: `${base}/Microsoft.Compute/disks/d`,
        sourceUniqueId: '258117e0',
      },
      diskSizeGB: 5,
      incremental: true,
      networkAccessPolicy: 'AllowAll',
      publicNetworkAccess: 'Enabled',
      timeCreated: '2022-06-01T10:08:39.8704151-04:00',
      provisioningState: 'Succeeded',
      diskState: 'Unattached',
      diskSizeBytes: 5_368_709_120,
      uniqueId: '866d3905',
      incrementalSnapshotFamilyId: 'a035a07e',
      ...properties,
    },
  });

  it('are read as recorded, with times in UTC', async () => {
    arm.on('GET', /snapshots\/s$/, { status: 200, body: snapshot('s', {}, { 'holdfast:set': 'x' }) });
    expect(await new Snapshots(arm.connection()).find(snapshot('s').id)).toEqual({
      id: snapshot('s').id,
      name: 's',
      subscriptionId: SUBSCRIPTION,
      resourceGroup: 'vms',
      location: 'westeurope',
      sku: 'Standard_ZRS',
      timeCreated: '2022-06-01T14:08:39.870Z',
      incremental: true,
      sourceDiskId: `${base}/Microsoft.Compute/disks/d`,
      sourceUniqueId: '258117e0',
      familyId: 'a035a07e',
      sizeBytes: 5_368_709_120,
      diskState: 'Unattached',
      provisioningState: 'Succeeded',
      tags: { 'holdfast:set': 'x' },
      downloadable: true,
      notDownloadable: null,
    });
    expect(await new Snapshots(arm.connection()).find(snapshot('other').id)).toBeNull();
  });

  it.each([
    [{ provisioningState: 'Updating' }, true],
    [{ provisioningState: 'Failed' }, false],
    [{ completionPercent: 40 }, true],
    [{ completionPercent: 100 }, null],
    [{ snapshotAccessState: 'Pending' }, true],
    [{ snapshotAccessState: 'InstantAccess' }, true],
    [{ snapshotAccessState: 'Available' }, null],
    [{ snapshotAccessState: 'AvailableWithInstantAccess' }, null],
    [{ networkAccessPolicy: 'DenyAll' }, false],
    [{ dataAccessAuthMode: 'AzureActiveDirectory' }, false],
    [{ copyCompletionError: { errorCode: 'CopySourceNotFound', errorMessage: 'x' } }, false],
  ])('with %j can be read by SAS only when they should be', async (properties, waiting) => {
    arm.on('GET', /snapshots\/s$/, { status: 200, body: snapshot('s', properties) });
    const read = await new Snapshots(arm.connection()).get(snapshot('s').id);
    expect(read.downloadable).toBe(waiting === null);
    expect(read.notDownloadable?.waiting ?? null).toBe(waiting);
  });

  it('are listed by tag, whatever the case of its name; a missing group has none', async () => {
    arm.on('GET', /resourceGroups\/vms\/.*snapshots$/, {
      status: 200,
      body: {
        value: [
          snapshot('a', {}, { 'HOLDFAST:Owner': 's1' }),
          snapshot('b', {}, { 'holdfast:owner': 's2' }),
          snapshot('c'),
          snapshot('d', { incremental: false }, { 'holdfast:owner': 's1' }),
        ],
      },
    });
    const list = (scope: object) =>
      all(
        new Snapshots(arm.connection()).list({
          subscriptionId: SUBSCRIPTION,
          resourceGroup: 'vms',
          ...scope,
        }),
      ).then((found) => found.map(({ name }) => name));
    expect(await list({})).toEqual(['a', 'b', 'c']);
    expect(await list({ tag: { name: 'holdfast:owner' } })).toEqual(['a', 'b']);
    expect(await list({ tag: { name: 'holdfast:owner', value: 's1' } })).toEqual(['a']);
    expect(await list({ resourceGroup: 'gone' })).toEqual([]);
  });

  it('get their tags replaced', async () => {
    arm.on('PATCH', /snapshots\/s$/, { status: 200, body: snapshot('s') });
    const { via } = await new Snapshots(arm.connection()).startReplaceTags(snapshot('s').id, { a: 'b' });
    expect(via).toBe('none');
    expect(arm.seen[0]?.body).toMatchObject({ tags: { a: 'b' } });
  });
});

describe('tags', () => {
  it('are checked against Azure’s limits before anything is made', () => {
    const refused = (tags: Record<string, string>) => {
      try {
        checkTags(tags, 'x');
        return false;
      } catch (error) {
        return isHoldfastError(error, 'tagLimit');
      }
    };
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, '']));
    expect(refused(many(50))).toBe(false);
    expect(refused(many(51))).toBe(true);
    expect(refused({ ['n'.repeat(512)]: 'v'.repeat(256) })).toBe(false);
    expect(refused({ ['n'.repeat(513)]: 'v' })).toBe(true);
    expect(refused({ n: 'v'.repeat(257) })).toBe(true);
    for (const name of [
      '',
      'a/b',
      'a<b',
      'a>b',
      'a%b',
      'a&b',
      'a\\b',
      'a?b',
      'microsoft.x',
      'Azure',
      'windows1',
    ]) {
      expect(refused({ [name]: 'v' })).toBe(true);
    }
    expect(refused({ Owner: '1', owner: '2' })).toBe(true);
    expect(refused({ 'holdfast:owner': '1', 'holdfast.set-0': '2' })).toBe(false);
  });
});

describe('disks for upload', () => {
  const request = {
    subscriptionId: SUBSCRIPTION,
    resourceGroup: 'restored',
    name: 'd-1',
    location: 'westeurope',
    sizeBytes: 32 * GiB,
    sku: 'Premium_LRS',
    tags: { a: 'b' },
  };

  it('are asked for with room for the footer', async () => {
    arm.on('PUT', /disks\/d-1$/, { status: 202, headers: { 'azure-asyncoperation': `${arm.base}/op` } });
    await new DiskUploads(arm.connection()).startCreate({
      ...request,
      osType: 'Linux',
      hyperVGeneration: 'V2',
      zone: '2',
    });
    expect(arm.seen[0]?.body).toEqual({
      location: 'westeurope',
      tags: { a: 'b' },
      zones: ['2'],
      sku: { name: 'Premium_LRS' },
      properties: {
        osType: 'Linux',
        hyperVGeneration: 'V2',
        creationData: { createOption: 'Upload', uploadSizeBytes: 32 * GiB + 512 },
      },
    });
  });

  it('have Azure’s sizes', async () => {
    for (const sizeBytes of [GiB + 1, 20 * 1024 ** 2 - 512, 32_768 * GiB]) {
      expect(
        await failure(new DiskUploads(arm.connection()).startCreate({ ...request, sizeBytes })),
      ).toMatchObject({
        code: 'invalidInput',
        target: DiskUploads.idOf(request),
      });
    }
    expect(arm.seen).toHaveLength(0);
  });
});

describe('workers', () => {
  const request = {
    resourceGroup: 'workers',
    name: 'hf-westeurope-0-3',
    location: 'westeurope',
    size: 'Standard_D4as_v5',
    image: { publisher: 'Canonical', offer: 'ubuntu-24_04-lts', sku: 'server', version: 'latest' },
    subnetId:
      '/subscriptions/s/resourceGroups/workers/providers/Microsoft.Network/virtualNetworks/v/subnets/workers',
    customData: '#cloud-config\nruncmd: []\n',
    tags: { 'holdfast:role': 'worker' },
  };

  it('are one PUT, the same each time: VM, NIC and disk, removed together, with an identity and no login', async () => {
    arm.on('PUT', /hf-westeurope-0-3$/, {
      status: 201,
      body: {},
      headers: { 'azure-asyncoperation': `${arm.base}/op` },
    });
    const workers = new WorkerMachines(arm.connection());
    const operation = await workers.startCreate(request);
    await workers.startCreate(request);
    expect(operation).toMatchObject({ via: 'operation', resourceId: workers.idOf('workers', request.name) });
    const [first, second] = arm.seen.map(({ body }) => body as typeof vm);
    expect(second).toEqual(first);
    expect(first).toMatchObject({
      identity: { type: 'SystemAssigned' },
      properties: {
        hardwareProfile: { vmSize: 'Standard_D4as_v5' },
        osProfile: {
          customData: Buffer.from(request.customData).toString('base64'),
          linuxConfiguration: { disablePasswordAuthentication: true },
        },
        storageProfile: {
          osDisk: { name: 'hf-westeurope-0-3-os', createOption: 'FromImage', deleteOption: 'Delete' },
        },
        networkProfile: {
          networkApiVersion: '2022-11-01',
          networkInterfaceConfigurations: [
            {
              name: 'hf-westeurope-0-3-nic',
              properties: {
                primary: true,
                deleteOption: 'Delete',
                ipConfigurations: [
                  { name: 'internal', properties: { primary: true, subnet: { id: request.subnetId } } },
                ],
              },
            },
          ],
        },
      },
    });
    expect(JSON.stringify(first)).not.toMatch(/publicIPAddress/);
  });

  it.each([
    [armError(409, 'SkuNotAvailable'), 'capacityUnavailable', true],
    [
      armError(409, 'OperationNotAllowed', 'exceeding approved Total Regional Cores quota.'),
      'quotaExceeded',
      false,
    ],
  ] as const)('refused with %j say which ladder to climb', async (reply, code, retryable) => {
    arm.on('PUT', /hf-westeurope-0-3$/, reply);
    arm.on('POST', /hf-westeurope-0-3\/start$/, reply);
    const workers = new WorkerMachines(arm.connection());
    const id = workers.idOf('workers', request.name);
    expect(await failure(workers.startCreate(request))).toMatchObject({ code, retryable, target: id });
    expect(await failure(workers.startStart(id))).toMatchObject({ code, retryable });
  });

  it('do not take more cloud-init than Azure', async () => {
    const customData = 'x'.repeat(64 * 1024);
    expect(
      await failure(new WorkerMachines(arm.connection()).startCreate({ ...request, customData })),
    ).toMatchObject({
      code: 'invalidInput',
    });
  });

  it('leave nothing: parts without their VM are found, those of a living one are not', async () => {
    const value = (...names: string[]) => ({
      value: names.map((name) =>
        disk(name, { diskState: name.includes('attached') ? 'Attached' : 'Unattached' }),
      ),
    });
    arm.on('GET', /workers\/.*disks$/, {
      status: 200,
      body: value('hf-a-0-os', 'hf-b-0-os', 'hf-attached-0-os', 'data', 'hf-note'),
    });
    const nicOf = (name: string, owner?: string) => ({
      name,
      id: `${base}/Microsoft.Network/networkInterfaces/${name}`,
      properties: owner === undefined ? {} : { virtualMachine: { id: owner } },
    });
    arm.on('GET', /workers\/.*networkInterfaces$/, {
      status: 200,
      body: {
        value: [
          nicOf('hf-a-0-nic-1f2e'),
          nicOf('hf-b-0-nic'),
          nicOf('hf-c-0-nic', vm.id),
          nicOf('other-nic'),
        ],
      },
    });
    arm.on('GET', /workers\/.*virtualMachines$/, {
      status: 200,
      body: { value: [{ ...vm, name: 'HF-B-0' }] },
    });
    const workers = new WorkerMachines(arm.connection());
    const orphans = await workers.listOrphans('workers', 'hf-');
    expect(orphans.map((id) => id.split('/').at(-1))).toEqual(['hf-a-0-os', 'hf-a-0-nic-1f2e']);
    arm.on('DELETE', /hf-a-0/, { status: 204 });
    for (const id of orphans) expect((await workers.startRemoveOrphan(id)).via).toBe('none');
    expect(await workers.listOrphans('no-such-group', 'hf-')).toEqual([]);
  });

  it('are found by tag, with the identity whose tokens they carry', async () => {
    const worker = {
      ...vm,
      tags: { 'holdfast:role': 'worker' },
      identity: { type: 'SystemAssigned', principalId: 'p-1' },
    };
    arm.on('GET', /workers\/.*virtualMachines$/, { status: 200, body: { value: [vm, worker] } });
    const workers = new WorkerMachines(arm.connection());
    expect(await workers.list('workers', { name: 'holdfast:role', value: 'worker' })).toEqual([
      {
        id: vm.id,
        name: 'web1',
        location: 'westeurope',
        size: 'Standard_D4as_v5',
        vmId: 'a1b2c3d4-0000-4000-8000-00000000abcd',
        principalId: 'p-1',
        powerState: 'unknown',
        provisioningState: 'Succeeded',
        tags: { 'holdfast:role': 'worker' },
      },
    ]);
    expect(await workers.find(workers.idOf('workers', 'none'))).toBeNull();
  });
});

describe('the network of a region’s workers', () => {
  const request = { resourceGroup: 'workers', location: 'westeurope', namePrefix: 'hf', tags: {} };

  it('is made once: nothing gets in, nothing gets out but to storage and the app', async () => {
    let network: Record<string, unknown> | undefined;
    arm.on('GET', /virtualNetworks\/hf-westeurope-vnet$/, () =>
      network === undefined ? armError(404, 'ResourceNotFound') : { status: 200, body: network },
    );
    arm.on('PUT', /networkSecurityGroups\/hf-westeurope-nsg$/, ({ body }) => ({ status: 201, body }));
    arm.on('PUT', /virtualNetworks\/hf-westeurope-vnet$/, ({ body, path }) => {
      const { properties, ...rest } = body as { properties: object };
      network = { ...rest, id: path, properties: { ...properties, provisioningState: 'Succeeded' } };
      return { status: 201, body: network };
    });
    const subnetId = await ensureWorkerNetwork(arm.connection(), request);
    expect(subnetId).toBe(
      `/subscriptions/${SUBSCRIPTION}/resourceGroups/workers/providers/Microsoft.Network/virtualNetworks/hf-westeurope-vnet/subnets/workers`,
    );
    const [group, made] = arm.seen.filter(({ method }) => method === 'PUT').map(({ body }) => body);
    expect(group).toMatchObject({
      properties: {
        securityRules: [{ properties: { direction: 'Inbound', access: 'Deny', protocol: '*' } }],
      },
    });
    expect(made).toMatchObject({
      properties: {
        subnets: [
          {
            name: 'workers',
            properties: {
              defaultOutboundAccess: false,
              networkSecurityGroup: { id: expect.stringContaining('hf-westeurope-nsg') },
              serviceEndpoints: [{ service: 'Microsoft.Storage.Global' }, { service: 'Microsoft.Web' }],
            },
          },
        ],
      },
    });
    arm.seen.length = 0;
    expect(await ensureWorkerNetwork(arm.connection(), request)).toBe(subnetId);
    expect(arm.seen.map(({ method }) => method)).toEqual(['GET']);
  });
});
