import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Machine,
  MiB,
  protectionSchema,
  restorePointName,
  type Session,
} from '../../lib/model/index.ts';
import { chooseDisks } from '../../lib/sessions/backup/supported.ts';
import { needMachine, previewBackup, requestBackup } from '../../lib/sessions/index.ts';
import type { SeedMachine } from '../../local/azure/seed.ts';
import { GROUP, Lab, SUBSCRIPTION } from './lab.ts';

type Disk = NonNullable<SeedMachine['dataDisks']>[number];

const COPY_MS = 60_000;

describe('disks that are not like the others', () => {
  let lab: Lab;
  beforeAll(async () => {
    // Waiting moves the lab's clock on, and Azurite's stays: in all of this by less than the 15 minutes that a SAS allows for.
    lab = await Lab.start();
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  let count = 0;
  async function machineOf(order: Partial<SeedMachine>): Promise<Machine> {
    const name = `odd${++count}`;
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name,
      location: 'westeurope',
      osDisk: { sizeBytes: 64 * MiB },
      ...order,
    });
    const machine = await needMachine(lab.installation, name);
    for (const { id } of await disksOf(machine)) await lab.write(id, MiB, randomBytes(MiB));
    return machine;
  }
  const disksOf = async ({ armId }: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(armId)).disks;
  const withData = (disk: Disk) => machineOf({ dataDisks: [{ sizeBytes: 32 * MiB, ...disk }] });
  /** PUTs of snapshots since the test began. */
  const snapshotsMade = () => lab.simulator.requests({ method: 'PUT', path: '/snapshots/' }).length;
  const pointOf = async ({ restorePoint, error }: Session) => {
    if (!restorePoint) throw new Error(`The session made no restore point: ${error?.code} ${error?.message}`);
    const row = await lab.installation.catalog.points.get(restorePoint.chainId, restorePoint.sequence);
    if (!row) throw new Error('The catalog lacks the restore point.');
    return row.point;
  };
  const managedId = (name: string) =>
    `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Compute/disks/${name}`;
  /** Backs up, and restores every disk of the point byte for byte. Answers the restored disks' ids by number. */
  async function backsUpAndRestores(
    machine: Machine,
  ): Promise<{ session: Session; restored: Map<number, string> }> {
    const session = await lab.backUp(machine);
    const point = await pointOf(session);
    const restore = await lab.restore({ restorePoint: restorePointName(point) });
    expect(restore).toMatchObject({ status: 'succeeded', error: null });
    const restored = new Map(restore.disks.map(({ number, name }) => [number, managedId(name)]));
    for (const { number, snapshotId } of point.disks) {
      const bytes = await lab.bytes(restored.get(number) ?? '');
      expect(bytes.equals(await lab.bytes(snapshotId))).toBe(true);
    }
    return { session, restored };
  }
  /** The refusal of its backup: the code, and what was said. Fails when anything was made before it. */
  async function refusalOf(machine: Machine): Promise<{ code?: string; message?: string }> {
    const before = snapshotsMade();
    const { status, restorePoint, error } = await lab.backUp(machine);
    const left = await lab.installation.catalog.intents.sessions();
    expect([status, restorePoint, snapshotsMade() - before, left]).toEqual(['failed', null, 0, []]);
    return error ? { code: error.code, message: error.message } : {};
  }
  const saying = (code: string, why: RegExp) => ({ code, message: expect.stringMatching(why) as string });
  const wire = async (id: string) => {
    const { ComputeManagementClient } = await import('@azure/arm-compute');
    const owner = lab.simulator.addPrincipal({ name: 'owner' }).objectId;
    lab.simulator.assignRole({ principalId: owner, role: 'Owner', scope: `/subscriptions/${SUBSCRIPTION}` });
    const client = new ComputeManagementClient(lab.simulator.credential(owner), SUBSCRIPTION, {
      endpoint: lab.simulator.url,
    });
    return client.disks.get(GROUP, id.split('/').at(-1) ?? '');
  };

  it.each([
    [
      'sectors of 4096 bytes',
      { logicalSectorSize: 4096, sku: 'PremiumV2_LRS' },
      /4096 bytes.*VHDX.*512-byte sectors/,
    ],
    ['DenyAll', { properties: { networkAccessPolicy: 'DenyAll' } }, /DenyAll.*AllowAll/],
    [
      'private access',
      {
        properties: { networkAccessPolicy: 'AllowPrivate', diskAccessId: '/subscriptions/s/diskAccesses/da' },
      },
      /private networks only by way of .*diskAccesses\/da/,
    ],
    ['no public access', { properties: { publicNetworkAccess: 'Disabled' } }, /private networks only/],
    [
      'Entra access',
      { properties: { dataAccessAuthMode: 'AzureActiveDirectory' } },
      /dataAccessAuthMode.*None/,
    ],
    [
      'confidential encryption',
      { properties: { securityProfile: { securityType: 'ConfidentialVM_DiskEncryptedWithPlatformKey' } } },
      /confidential VM.*guest state/,
    ],
  ] as const)('a disk with %s stops the backup of its machine before any snapshot', async (_, disk, why) => {
    const machine = await withData(disk);
    expect(await refusalOf(machine)).toEqual(saying('diskUnsupported', why));
    const [os, data] = await disksOf(machine);
    const protection = protectionSchema.parse({ mover: 'inline' });
    await expect(
      previewBackup(lab.installation, machine, { reset: false, protection }),
    ).rejects.toMatchObject({ code: 'diskUnsupported', target: data?.id });
    // Excluded by the policy it is nobody's trouble, and no warning either.
    const excluding = protectionSchema.parse({ mover: 'inline', excludeDisks: [{ name: data?.name }] });
    const asked = await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: excluding,
      reason: 'test',
      policyId: null,
      parentId: null,
    });
    await lab.run();
    const session = await lab.session(asked.id);
    expect(session).toMatchObject({ status: 'succeeded', warnings: [] });
    expect((await pointOf(session)).disks.map(({ name }) => name)).toEqual([os?.name]);
  });

  it('a shared disk is left out with a warning, and the rest is backed up', async () => {
    const machine = await withData({ properties: { maxShares: 2 } });
    const { session } = await backsUpAndRestores(machine);
    expect(session.status).toBe('warning');
    expect(session.warnings).toEqual([
      expect.stringMatching(/_DataDisk_0 was left out: it is shared \(maxShares 2\)/),
    ]);
    expect((await pointOf(session)).disks.map(({ role }) => role)).toEqual(['os']);
    // The next one is incremental, of the same disks.
    expect((await pointOf(await lab.backUp(machine))).disks.map(({ readReason }) => readReason)).toEqual([
      'changedBlocks',
    ]);
  });

  it('an ephemeral OS disk is left out with a warning; a machine that has nothing else is refused', async () => {
    const osDisk = { sizeBytes: 64 * MiB, ephemeral: true };
    const machine = await machineOf({ osDisk, dataDisks: [{ sizeBytes: 32 * MiB }] });
    const { session } = await backsUpAndRestores(machine);
    expect(session.warnings).toEqual([expect.stringMatching(/the OS disk is ephemeral/)]);
    expect((await pointOf(session)).disks.map(({ role }) => role)).toEqual(['data']);
    expect(await refusalOf(await machineOf({ osDisk }))).toEqual(
      saying('diskUnsupported', /no disk that can be backed up.*ephemeral/),
    );
  });

  it('managed and unmanaged disks on one machine are refused', async () => {
    lab.simulator.addStorageAccount({ subscription: SUBSCRIPTION, group: GROUP, name: 'mixed' });
    const app = lab.simulator.roles.list().find(({ role }) => role === 'Holdfast Worker')?.principalId ?? '';
    lab.simulator.assignRole({
      principalId: app,
      role: 'Holdfast Unmanaged Disks',
      scope: `/subscriptions/${SUBSCRIPTION}`,
    });
    const machine = await withData({ unmanaged: { account: 'mixed' } });
    expect(await refusalOf(machine)).toEqual(
      saying('diskUnsupported', /managed and unmanaged disks \(.*_DataDisk_0\).*Convert/),
    );
  });

  it('a disk that is still being filled makes the backup wait for a while, then fail with the reason', async () => {
    const machine = await withData({ sku: 'UltraSSD_LRS', properties: { completionPercent: 40 } });
    expect(await refusalOf(machine)).toEqual(saying('machineBusy', /still being filled \(40 %\)/));
  });

  it('a machine whose disks are being converted is busy; a disk that is excluded makes nobody wait', async () => {
    const machine = await withData({ sku: 'UltraSSD_LRS', properties: { completionPercent: 40 } });
    const configuration = await lab.installation.azure.machines.readConfiguration(machine.armId);
    const onlyOs = protectionSchema.parse({ onlyDisks: [{ role: 'os' }] });
    expect(chooseDisks(configuration, onlyOs).disks.map(({ role }) => role)).toEqual(['os']);
    const virtualMachine = { properties: { provisioningState: 'Migrating' } };
    expect(() => chooseDisks({ ...configuration, virtualMachine }, onlyOs)).toThrow(
      expect.objectContaining({ code: 'machineBusy', target: machine.armId }) as Error,
    );
  });

  it.each(['UltraSSD_LRS', 'PremiumV2_LRS'])(
    'the snapshot of a %s disk is read when its background copy is done',
    async (sku) => {
      lab.simulator.settings.operations.backgroundCopyMs = COPY_MS;
      const machine = await withData({ sku });
      const began = lab.clock.now().getTime();
      const { session } = await backsUpAndRestores(machine);
      expect(session.status).not.toBe('failed');
      expect(lab.clock.now().getTime() - began).toBeGreaterThanOrEqual(COPY_MS);
      const [, data] = await disksOf(machine);
      await lab.write(data?.id ?? '', 8 * MiB, randomBytes(4096));
      const next = await backsUpAndRestores(machine);
      expect((await pointOf(next.session)).disks.map(({ readReason }) => readReason)).toEqual([
        'changedBlocks',
        'changedBlocks',
      ]);
      lab.simulator.settings.operations.backgroundCopyMs = 0;
    },
  );

  it("what a disk's content needs goes over to the restored one: keys of customer and guest, Trusted Launch, zone", async () => {
    const encryption = {
      type: 'EncryptionAtRestWithCustomerKey',
      diskEncryptionSetId:
        '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/diskEncryptionSets/des',
    };
    const encryptionSettingsCollection = {
      enabled: true,
      encryptionSettings: [
        { diskEncryptionKey: { secretUrl: 'https://v/secrets/bek', sourceVault: { id: 'v' } } },
      ],
      encryptionSettingsVersion: '1.1',
    };
    const machine = await machineOf({
      zones: ['2'],
      osDisk: {
        sizeBytes: 64 * MiB,
        properties: {
          encryption,
          encryptionSettingsCollection,
          securityProfile: { securityType: 'TrustedLaunch' },
        },
      },
      dataDisks: [{ sizeBytes: 32 * MiB }],
    });
    const { session, restored } = await backsUpAndRestores(machine);
    expect(session.status).toBe('succeeded');
    expect(await wire(restored.get(0) ?? '')).toMatchObject({
      zones: ['2'],
      encryption,
      encryptionSettingsCollection,
      securityProfile: { securityType: 'TrustedLaunch' },
      hyperVGeneration: 'V2',
    });
    const data = await wire(restored.get(1) ?? '');
    expect([data.encryption?.type, data.securityProfile]).toEqual([
      'EncryptionAtRestWithPlatformKey',
      undefined,
    ]);
  });

  it('a disk of a deallocated machine (Reserved) is backed up, and its set is of one moment', async () => {
    const machine = await machineOf({ running: false, dataDisks: [{ sizeBytes: 32 * MiB }] });
    const { session } = await backsUpAndRestores(machine);
    expect(await pointOf(session)).toMatchObject({ consistency: 'atomic' });
  });
});
