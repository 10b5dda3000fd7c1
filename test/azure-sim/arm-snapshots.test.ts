import { AnonymousCredential, PageBlobClient, type StoragePipelineOptions } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixedVhdFooter } from '../../local/azure/disks/index.ts';
import { AdjustableClock } from '../../local/azure/index.ts';
import { GROUP, groupScope, LOCATION, Rig, refused, SUBSCRIPTION } from './rig.ts';

const GIB = 2 ** 30;

describe('managed disks and snapshots over the official SDK', () => {
  let rig: Rig;
  const clock = new AdjustableClock();
  const diskId = (name: string) => `${groupScope()}/providers/Microsoft.Compute/disks/${name}`;
  const empty = (name: string, diskSizeGB = 1) =>
    rig.compute().disks.createOrUpdate(GROUP, name, {
      location: LOCATION,
      creationData: { createOption: 'Empty' },
      diskSizeGB,
    });
  const snap = (name: string, disk: string, incremental = true) =>
    rig.compute().snapshots.createOrUpdate(GROUP, name, {
      location: LOCATION,
      incremental,
      creationData: { createOption: 'Copy', sourceResourceId: diskId(disk) },
    });
  const blob = (sas: string | undefined) => {
    const options = { tlsOptions: { ca: rig.simulator.tls.caPem } };
    return new PageBlobClient(sas as string, new AnonymousCredential(), options as StoragePipelineOptions);
  };
  beforeAll(async () => {
    rig = await Rig.start({ clock });
  });
  afterAll(() => rig.stop());

  it('creates an empty disk and shows it as Azure does', async () => {
    const disk = await rig.compute().disks.createOrUpdate(GROUP, 'd1', {
      location: LOCATION,
      creationData: { createOption: 'Empty' },
      diskSizeGB: 4096,
      tags: { a: 'b' },
    });
    expect(disk).toMatchObject({
      id: `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Compute/disks/d1`,
      provisioningState: 'Succeeded',
      diskState: 'Unattached',
      diskSizeBytes: 4096 * GIB,
      tags: { a: 'b' },
    });
    expect(disk.timeCreated).toBeInstanceOf(Date);
  });

  it('keeps snapshots zone-redundant where the region has zones, and says so in its list of SKUs', async () => {
    const offered: string[] = [];
    for await (const { resourceType, name } of rig
      .compute()
      .resourceSkus.list({ filter: `location eq '${LOCATION}'` }))
      if (resourceType === 'snapshots') offered.push(name ?? '');
    expect(offered).toEqual(['Standard_LRS', 'Premium_LRS', 'Standard_ZRS']);
    await empty('redundant');
    const creationData = { createOption: 'Copy', sourceResourceId: diskId('redundant') };
    const snapshot = { location: LOCATION, incremental: true, sku: { name: 'Standard_ZRS' }, creationData };
    expect(await rig.compute().snapshots.createOrUpdate(GROUP, 'redundant-1', snapshot)).toMatchObject({
      sku: { name: 'Standard_ZRS' },
    });
  });

  it('copies snapshots of Premium SSD v2 disks in the background: no SAS before it is done, three at a time', async () => {
    rig.simulator.settings.operations.backgroundCopyMs = 100_000;
    await rig.compute().disks.createOrUpdate(GROUP, 'fast', {
      location: LOCATION,
      sku: { name: 'PremiumV2_LRS' },
      creationData: { createOption: 'Empty' },
      diskSizeGB: 1,
    });
    for (const name of ['fast-1', 'fast-2', 'fast-3']) await snap(name, 'fast');
    expect(await refused(snap('fast-4', 'fast'))).toMatchObject({
      status: 409,
      code: 'OperationNotAllowed',
    });
    clock.advance(50_000);
    const { completionPercent = 0 } = await rig.compute().snapshots.get(GROUP, 'fast-1');
    expect(completionPercent).toBeGreaterThanOrEqual(50);
    expect(completionPercent).toBeLessThan(100);
    const grant = () =>
      rig.compute().snapshots.grantAccess(GROUP, 'fast-1', { access: 'Read', durationInSeconds: 60 });
    expect(await refused(grant())).toMatchObject({ status: 409 });
    clock.advance(50_000);
    expect(await rig.compute().snapshots.get(GROUP, 'fast-1')).toMatchObject({ completionPercent: 100 });
    await snap('fast-4', 'fast');
    await grant();
    await rig.compute().snapshots.revokeAccess(GROUP, 'fast-1');
    rig.simulator.settings.operations.backgroundCopyMs = 0;
  });

  it('refuses to delete, or to change, what somebody has locked, there or above', async () => {
    await empty('guarded');
    await snap('guarded-1', 'guarded');
    const snapshots = rig.compute().snapshots;
    const id = `${groupScope()}/providers/Microsoft.Compute/snapshots/guarded-1`;
    for (const scope of [id, groupScope(), `/subscriptions/${SUBSCRIPTION}`]) {
      rig.simulator.lockScope({ scope, level: 'CanNotDelete' });
      expect(await refused(snapshots.delete(GROUP, 'guarded-1'))).toMatchObject({ code: 'ScopeLocked' });
      await snapshots.update(GROUP, 'guarded-1', { tags: { a: scope.length.toString() } });
      rig.simulator.lockScope({ scope, level: 'ReadOnly' });
      expect(await refused(snapshots.update(GROUP, 'guarded-1', { tags: {} }))).toMatchObject({
        status: 409,
        code: 'ScopeLocked',
      });
      rig.simulator.unlockScope({ scope });
    }
    await snapshots.delete(GROUP, 'guarded-1');
  });

  it('answers a snapshot PUT with the recorded 202, operation and final resource', async () => {
    await empty('wire');
    const path = `${groupScope()}/providers/Microsoft.Compute/snapshots/wire-1?api-version=2026-03-02`;
    const put = await rig.arm('PUT', path, {
      location: LOCATION,
      properties: {
        creationData: { createOption: 'Copy', sourceResourceId: diskId('wire') },
        incremental: true,
      },
    });
    expect(put.status).toBe(202);
    const operation = put.headers.get('azure-asyncoperation') ?? '';
    expect(put.headers.get('location')).toMatch(
      /\/DiskOperations\/[0-9a-f-]{36}\?p=[0-9a-f-]{36}&monitor=true&api-version=2026-03-02$/,
    );
    expect(operation).toMatch(/\/providers\/Microsoft\.Compute\/locations\/westeurope\/DiskOperations\//);
    expect(put.headers.get('x-ms-ratelimit-remaining-resource')).toMatch(
      /^Microsoft\.Compute\/HighCostSnapshotCreateHydrate3Min;\d+,/,
    );
    expect(operation).toContain(put.headers.get('x-ms-request-id'));
    expect(put.body).toMatchObject({
      location: LOCATION,
      properties: { incremental: true, provisioningState: 'Updating', isArmResource: true },
    });

    const status = await rig.arm('GET', operation);
    expect(status.body).toMatchObject({ status: 'Succeeded', properties: { output: { name: 'wire-1' } } });
    expect((status.body as { startTime: string }).startTime).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{7}[-+]\d\d:\d\d$/,
    );

    const { body } = await rig.arm('GET', path);
    const disk = await rig.compute().disks.get(GROUP, 'wire');
    expect(body).toMatchObject({
      name: 'wire-1',
      type: 'Microsoft.Compute/snapshots',
      properties: {
        creationData: {
          createOption: 'Copy',
          sourceResourceId: diskId('wire'),
          sourceUniqueId: disk.uniqueId,
        },
        incremental: true,
        diskSizeBytes: GIB,
        diskState: 'Unattached',
        incrementalSnapshotFamilyId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      },
    });
    expect(body).not.toHaveProperty('properties.completionPercent');
  });

  it('gives snapshots of one disk one family, and a disk made anew under the same name another', async () => {
    await empty('family');
    const first = await snap('family-1', 'family');
    const second = await snap('family-2', 'family');
    expect(second.incrementalSnapshotFamilyId).toBe(first.incrementalSnapshotFamilyId);
    expect(second.uniqueId).not.toBe(first.uniqueId);
    await rig.compute().disks.delete(GROUP, 'family');
    await empty('family');
    const other = await snap('family-3', 'family');
    expect(other.incrementalSnapshotFamilyId).not.toBe(first.incrementalSnapshotFamilyId);
    expect(other.creationData?.sourceUniqueId).not.toBe(first.creationData?.sourceUniqueId);
  });

  it('does not take a snapshot anew when its PUT is repeated', async () => {
    await empty('replay');
    await rig.simulator.writeDisk({ diskId: diskId('replay'), offset: 0, data: Buffer.alloc(512, 1) });
    const first = await snap('replay-1', 'replay');
    await rig.simulator.writeDisk({ diskId: diskId('replay'), offset: 0, data: Buffer.alloc(512, 2) });
    const again = await snap('replay-1', 'replay');
    expect(again.uniqueId).toBe(first.uniqueId);
    expect(await rig.simulator.readDisk({ diskId: first.id as string, offset: 0, length: 1 })).toEqual(
      Buffer.from([1]),
    );
  });

  it('grants a read SAS that reads, diffs, and ends with the revoke', async () => {
    await empty('granted');
    await rig.simulator.writeDisk({ diskId: diskId('granted'), offset: 8192, data: Buffer.alloc(4096, 7) });
    await snap('granted-1', 'granted');
    await rig.simulator.writeDisk({ diskId: diskId('granted'), offset: 65536, data: Buffer.alloc(4096, 8) });
    await snap('granted-2', 'granted');
    const grant = async (name: string) =>
      (await rig.compute().snapshots.grantAccess(GROUP, name, { access: 'Read', durationInSeconds: 3600 }))
        .accessSAS;
    const [older, newer] = [await grant('granted-1'), await grant('granted-2')];
    expect(new URL(newer as string).pathname).toBe(new URL(older as string).pathname);
    expect((await rig.compute().snapshots.get(GROUP, 'granted-2')).diskState).toBe('ActiveSAS');
    const diff = await blob(newer).getPageRangesDiffForManagedDisks(0, GIB, older as string);
    expect(diff.pageRange).toEqual([{ offset: 65536, count: 4095 }]);
    const bytes = await blob(newer).downloadToBuffer(8192, 4096);
    expect(bytes).toEqual(Buffer.alloc(4096, 7));
    expect(await refused(rig.compute().snapshots.delete(GROUP, 'granted-2'))).toMatchObject({
      status: 409,
      code: 'OperationNotAllowed',
    });
    await rig.compute().snapshots.revokeAccess(GROUP, 'granted-2');
    expect(await refused(blob(newer).downloadToBuffer(0, 512))).toMatchObject({ status: 403 });
    await rig.compute().snapshots.revokeAccess(GROUP, 'granted-1');
    await rig.compute().snapshots.delete(GROUP, 'granted-2');
    expect(await refused(rig.compute().snapshots.get(GROUP, 'granted-2'))).toEqual({
      status: 404,
      code: 'ResourceNotFound',
      message: `The Resource 'Microsoft.Compute/snapshots/granted-2' under resource group '${GROUP}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    });
    expect(rig.simulator.requests({ path: 'sig=' }).every(({ path }) => !/sig=(?!REDACTED)/.test(path))).toBe(
      true,
    );
  });

  it('refuses the eighth incremental snapshot of a disk in five minutes, and allows it later', async () => {
    await empty('often');
    for (let n = 1; n <= 7; n += 1) await snap(`often-${n}`, 'often');
    expect(await refused(snap('often-8', 'often'))).toMatchObject({
      status: 409,
      code: 'OperationNotAllowed',
    });
    clock.advance(300_001);
    expect(await snap('often-8', 'often')).toMatchObject({ provisioningState: 'Succeeded' });
  });

  it('refuses a SAS for the sixth snapshot of a family until another is revoked or expires', async () => {
    clock.advance(300_001);
    await empty('wide');
    for (let n = 1; n <= 6; n += 1) await snap(`wide-${n}`, 'wide');
    const grant = (n: number, durationInSeconds = 3600) =>
      rig.compute().snapshots.grantAccess(GROUP, `wide-${n}`, { access: 'Read', durationInSeconds });
    for (const n of [1, 2, 3, 4]) await grant(n);
    await grant(5, 60);
    expect(await refused(grant(6))).toMatchObject({ status: 409, code: 'OperationNotAllowed' });
    expect((await grant(1)).accessSAS).toContain('/abcd?');
    clock.advance(61_000);
    expect((await grant(6)).accessSAS).toContain('/abcd?');
    expect(await refused(grant(5))).toMatchObject({ status: 409 });
    await rig.compute().snapshots.revokeAccess(GROUP, 'wide-1');
    await grant(5);
  });

  it('takes an upload: bounds, states, page writes, footer judged at the revoke', async () => {
    const client = rig.compute();
    const size = 32 * 2 ** 20;
    const create = (uploadSizeBytes: number) =>
      client.disks.createOrUpdate(GROUP, 'upload', {
        location: LOCATION,
        osType: 'Linux',
        creationData: { createOption: 'Upload', uploadSizeBytes },
      });
    expect(await refused(create(1024))).toMatchObject({ status: 400, code: 'InvalidParameter' });
    const disk = await create(size + 512);
    expect(disk.diskState).toBe('ReadyToUpload');
    expect(disk.diskSizeBytes).toBeUndefined();
    expect(
      await refused(client.disks.grantAccess(GROUP, 'upload', { access: 'Read', durationInSeconds: 60 })),
    ).toMatchObject({ status: 409 });
    const write = async () =>
      (await client.disks.grantAccess(GROUP, 'upload', { access: 'Write', durationInSeconds: 3600 }))
        .accessSAS;
    const first = await write();
    expect((await client.disks.get(GROUP, 'upload')).diskState).toBe('ActiveUpload');
    await blob(first).uploadPages(Buffer.alloc(4096, 5), 4096, 4096);
    expect(await refused(client.disks.revokeAccess(GROUP, 'upload'))).toMatchObject({
      status: 400,
      code: 'InvalidVhd',
      message: expect.stringContaining('conectix'),
    });
    const second = await write();
    await blob(second).uploadPages(fixedVhdFooter(size, 'x'), size, 512);
    await client.disks.revokeAccess(GROUP, 'upload');
    expect(await client.disks.get(GROUP, 'upload')).toMatchObject({
      diskState: 'Unattached',
      diskSizeBytes: size,
    });
    expect(await rig.simulator.readDisk({ diskId: diskId('upload'), offset: 4096, length: 4096 })).toEqual(
      Buffer.alloc(4096, 5),
    );
    expect(await refused(blob(second).uploadPages(Buffer.alloc(512), 0, 512))).toMatchObject({ status: 403 });
  });

  it('copies a disk from a snapshot, larger, with another unique id', async () => {
    await empty('origin');
    await rig.simulator.writeDisk({ diskId: diskId('origin'), offset: 512, data: Buffer.alloc(512, 9) });
    const source = await snap('origin-1', 'origin');
    const copy = await rig.compute().disks.createOrUpdate(GROUP, 'copy', {
      location: LOCATION,
      diskSizeGB: 2,
      creationData: { createOption: 'Copy', sourceResourceId: source.id as string },
    });
    expect(copy).toMatchObject({ diskSizeBytes: 2 * GIB, creationData: { sourceUniqueId: source.uniqueId } });
    expect(await rig.simulator.readDisk({ diskId: copy.id as string, offset: 512, length: 512 })).toEqual(
      Buffer.alloc(512, 9),
    );
    expect(await refused(rig.compute().disks.update(GROUP, 'copy', { diskSizeGB: 1 }))).toMatchObject({
      status: 400,
    });
    expect(
      await rig.compute().disks.update(GROUP, 'copy', { diskSizeGB: 3, tags: { k: 'v' } }),
    ).toMatchObject({ diskSizeGB: 3, tags: { k: 'v' } });
  });

  it('keeps everything over a restart, and forgets contents that no record names', async () => {
    await empty('kept');
    await rig.simulator.writeDisk({ diskId: diskId('kept'), offset: 0, data: Buffer.alloc(512, 3) });
    const before = await snap('kept-1', 'kept');
    const granted = await rig
      .compute()
      .snapshots.grantAccess(GROUP, 'kept-1', { access: 'Read', durationInSeconds: 3600 });
    await rig.simulator.store.create('left-over', 1024);
    await rig.restart();
    const after = await rig.compute().snapshots.get(GROUP, 'kept-1');
    expect(after).toEqual({ ...before, diskState: 'ActiveSAS' });
    const sas = new URL(granted.accessSAS as string);
    const moved = `${rig.simulator.url}${sas.pathname}${sas.search}`;
    expect(await blob(moved).downloadToBuffer(0, 512)).toEqual(Buffer.alloc(512, 3));
    await expect.poll(() => rig.simulator.store.has('left-over')).toBe(false);
  });

  it('pages through lists of a subscription and a group', async () => {
    const all: string[] = [];
    for await (const disk of rig.compute().disks.list()) all.push(disk.name as string);
    const mine: string[] = [];
    for await (const disk of rig.compute().disks.listByResourceGroup(GROUP)) mine.push(disk.name as string);
    expect(mine).toEqual(all);
    expect(mine).toContain('d1');
  });
});
