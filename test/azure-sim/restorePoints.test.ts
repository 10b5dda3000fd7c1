import type { ComputeManagementClient } from '@azure/arm-compute';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trustAuthority } from '../support/azurite.ts';
import { GROUP, groupScope, LOCATION, Rig, SUBSCRIPTION } from './rig.ts';

const MIB = 2 ** 20;
let rig: Rig;
let client: ComputeManagementClient;
const time = { at: new Date('2026-11-22T08:00:00Z') };
beforeAll(async () => {
  rig = await Rig.start({ clock: { now: () => time.at } });
  trustAuthority(rig.simulator.tls.caPem);
  client = rig.compute();
});
afterAll(() => rig.stop());

let made = 0;
async function machine(
  more: { size?: string; osType?: 'Linux' | 'Windows'; sku?: string; running?: boolean } = {},
) {
  const { size = 'Standard_D2s_v5', osType = 'Linux', sku, running = true } = more;
  const { id, name } = await rig.simulator.addVirtualMachine({
    subscription: SUBSCRIPTION,
    group: GROUP,
    name: `vm-${++made}`,
    location: LOCATION,
    size,
    running,
    osDisk: { sizeBytes: 8 * MIB, osType },
    dataDisks: [{ sizeBytes: 4 * MIB, ...(sku === undefined ? {} : { sku }) }],
  });
  const collection = `rpc-${name}`;
  await client.restorePointCollections.createOrUpdate(GROUP, collection, {
    location: LOCATION,
    source: { id },
  });
  return { id, name, collection };
}
/** The error of ARM, of the request or of its operation. */
const refusal = (act: PromiseLike<unknown>) =>
  Promise.resolve(act).then(
    () => null,
    (error: { statusCode?: number; code?: string; message: string }) => ({
      status: error.statusCode,
      said: `${error.code} ${error.message}`,
    }),
  );
const CRASH = { consistencyMode: 'CrashConsistent' };

describe('VM restore points, by the official SDK', () => {
  it('hold all disks at one moment, with the configuration, and are read by SAS until they are deleted', async () => {
    const { name, collection, id } = await machine();
    const { storageProfile } = await client.virtualMachines.get(GROUP, name);
    const os = storageProfile?.osDisk?.managedDisk?.id ?? '';
    await rig.simulator.writeDisk({ diskId: os, offset: 0, data: Buffer.alloc(512, 7) });
    const point = await client.restorePoints.create(GROUP, collection, 'p1', CRASH);
    await rig.simulator.writeDisk({ diskId: os, offset: 0, data: Buffer.alloc(512, 9) });
    expect(point).toMatchObject({ provisioningState: 'Succeeded', consistencyMode: 'CrashConsistent' });
    const found = await client.restorePoints.get(GROUP, collection, 'p1');
    expect(found).toMatchObject({
      provisioningState: 'Succeeded',
      sourceMetadata: {
        vmId: (await client.virtualMachines.get(GROUP, name)).vmId,
        storageProfile: {
          osDisk: { osType: 'Linux', managedDisk: { id: os } },
          dataDisks: [{ lun: 0, diskRestorePoint: { id: expect.stringContaining('/diskRestorePoints/') } }],
        },
      },
    });
    const disk = found.sourceMetadata?.storageProfile?.osDisk?.diskRestorePoint?.id?.split('/').at(-1) ?? '';
    const uniqueId = (await client.disks.get(GROUP, os.split('/').at(-1) ?? '')).uniqueId;
    expect(await client.diskRestorePoint.get(GROUP, collection, 'p1', disk)).toMatchObject({
      sourceResourceId: os,
      sourceUniqueId: uniqueId,
      familyId: expect.any(String),
    });
    const { accessSAS = '' } = await client.diskRestorePoint.grantAccess(GROUP, collection, 'p1', disk, {
      access: 'Read',
      durationInSeconds: 3600,
    });
    const read = () => fetch(accessSAS, { headers: { range: 'bytes=0-511', 'x-ms-version': '2021-12-02' } });
    expect(Buffer.from(await (await read()).arrayBuffer())).toEqual(Buffer.alloc(512, 7));
    expect(await refusal(client.restorePointCollections.delete(GROUP, collection))).toMatchObject({
      status: 409,
      said: expect.stringContaining('DiskRestorePointUsedByCustomer'),
    });
    await client.diskRestorePoint.revokeAccess(GROUP, collection, 'p1', disk);
    expect((await read()).status).toBe(403);
    // They are no snapshots.
    const snapshots = [];
    for await (const snapshot of client.snapshots.list()) snapshots.push(snapshot);
    expect(snapshots).toEqual([]);
    await client.restorePointCollections.delete(GROUP, collection);
    expect(await refusal(client.restorePoints.get(GROUP, collection, 'p1'))).toMatchObject({ status: 404 });
    expect(id).toContain(name);
  });

  it('keep the documented limits: spacing, disk types, sizes, modes', async () => {
    const { collection, id } = await machine({ osType: 'Windows' });
    await client.restorePoints.create(GROUP, collection, 'p1', CRASH);
    const soon = await refusal(client.restorePoints.create(GROUP, collection, 'p2', CRASH));
    expect(soon).toMatchObject({ status: 409, said: expect.stringContaining('less than 60 minutes ago') });
    // Those that ask the guest are counted by themselves.
    const asked = await client.restorePoints.create(GROUP, collection, 'p3', {});
    expect(asked.consistencyMode).toBe('ApplicationConsistent');
    time.at = new Date(time.at.getTime() + 61 * 60_000);
    await client.restorePoints.create(GROUP, collection, 'p4', CRASH);
    expect(await refusal(client.restorePoints.create(GROUP, collection, 'p5', {}))).toMatchObject({
      said: expect.stringContaining('less than 180 minutes ago'),
    });
    expect(
      await refusal(
        client.restorePoints.create(GROUP, collection, 'p6', { consistencyMode: 'ApplicationConsistent' }),
      ),
    ).toMatchObject({ status: 400, said: expect.stringContaining('only CrashConsistent') });
    expect(
      await refusal(
        client.restorePointCollections.createOrUpdate(GROUP, collection, {
          location: LOCATION,
          source: { id: id.replace(/vm-\d+$/, 'vm-1') },
        }),
      ),
    ).toMatchObject({ status: 400 });

    const ultra = await machine({ sku: 'PremiumV2_LRS' });
    expect(await refusal(client.restorePoints.create(GROUP, ultra.collection, 'p', CRASH))).toMatchObject({
      status: 409,
      said: expect.stringContaining('PremiumV2_LRS'),
    });
    const { storageProfile } = await client.virtualMachines.get(GROUP, ultra.name);
    const excludeDisks = [{ id: storageProfile?.dataDisks?.[0]?.managedDisk?.id ?? '' }];
    const without = await client.restorePoints.create(GROUP, ultra.collection, 'p', {
      ...CRASH,
      excludeDisks,
    });
    expect(without.sourceMetadata?.storageProfile?.dataDisks?.[0]?.diskRestorePoint).toBeUndefined();
    const old = await machine({ size: 'Standard_D2_v3' });
    expect(await refusal(client.restorePoints.create(GROUP, old.collection, 'p', CRASH))).toMatchObject({
      said: expect.stringContaining('no premium storage'),
    });
  });

  it('last over a restart', async () => {
    const { collection } = await machine();
    await client.restorePoints.create(GROUP, collection, 'p', CRASH);
    await rig.restart();
    client = rig.compute();
    expect((await client.restorePoints.get(GROUP, collection, 'p')).provisioningState).toBe('Succeeded');
    expect(await refusal(client.restorePoints.create(GROUP, collection, 'q', CRASH))).toMatchObject({
      status: 409,
    });
  });
});

describe('run commands, by the official SDK', () => {
  const run = (name: string, command: string, script: string, timeoutInSeconds = 600) =>
    client.virtualMachineRunCommands.createOrUpdate(GROUP, name, command, {
      location: LOCATION,
      source: { script },
      asyncExecution: true,
      timeoutInSeconds,
    });
  const view = async (name: string, command: string) =>
    (
      await client.virtualMachineRunCommands.getByVirtualMachine(GROUP, name, command, {
        expand: 'instanceView',
      })
    ).instanceView;

  it('run once, take their time, and tell exit code and output', async () => {
    const { id, name } = await machine();
    await run(name, 'first', 'echo hello\nwarn careful\nsleep 60\nexit 3');
    expect(await view(name, 'first')).toMatchObject({ executionState: 'Running' });
    time.at = new Date(time.at.getTime() + 61_000);
    expect(await view(name, 'first')).toMatchObject({
      executionState: 'Failed',
      exitCode: 3,
      output: 'hello\n',
      error: 'careful\n',
    });
    await run(name, 'late', 'sleep 100\nwrite-disk 0 never', 30);
    time.at = new Date(time.at.getTime() + 31_000);
    expect(await view(name, 'late')).toMatchObject({ executionState: 'TimedOut' });
    await client.virtualMachineRunCommands.delete(GROUP, name, 'first');
    expect(await refusal(view(name, 'first'))).toMatchObject({ status: 404 });
    expect(rig.simulator.guestScripts({ machineId: id }).map((one) => [one.name, one.exitCode])).toEqual([
      ['first', 3],
      ['late', 0],
    ]);
  });

  it('need a running machine, its agent, a right of their own, and room', async () => {
    const off = await machine({ running: false });
    expect(await refusal(run(off.name, 'x', 'echo'))).toMatchObject({
      status: 409,
      said: expect.stringContaining('when the VM is not running'),
    });
    const silent = await machine();
    rig.simulator.setGuestAgent({ machineId: silent.id, present: false });
    expect((await refusal(run(silent.name, 'x', 'echo')))?.said).toContain('VM agent');
    expect(await view(silent.name, 'x')).toMatchObject({ executionState: 'Unknown' });

    const { name } = await machine();
    const protect = rig.compute(rig.principal('protect', 'Holdfast Protect', groupScope()));
    expect(
      await refusal(
        protect.virtualMachineRunCommands.createOrUpdate(GROUP, name, 'x', {
          location: LOCATION,
          source: { script: 'echo' },
        }),
      ),
    ).toMatchObject({ status: 403 });
    for (let n = 0; n < 25; n++) await run(name, `c-${n}`, 'echo');
    expect(await refusal(run(name, 'c-25', 'echo'))).toMatchObject({
      status: 409,
      said: expect.stringContaining('at most 25'),
    });
  }, 60_000);
});
