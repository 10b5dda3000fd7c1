/** The adapters against the Azure simulator: tokens of a managed identity, the product's own roles, real operations and bytes. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SecretClient } from '@azure/keyvault-secrets';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  AzureConnection,
  appCredential,
  closeDiskConnections,
  DiskGrants,
  DiskUploads,
  ensureWorkerNetwork,
  KeyVaultSecrets,
  type Operation,
  pollOperation,
  SnapshotDisk,
  Snapshots,
  UploadDisk,
  VirtualMachines,
  WorkerMachines,
} from '../../lib/azure/index.ts';
import { GiB, KiB, MiB, machineConfigurationSchema, TiB } from '../../lib/model/index.ts';
import { AzureSimulator } from '../../local/azure/index.ts';
import { trustAuthority } from '../support/azurite.ts';
import { failure } from './failure.ts';

const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';
const LOCATION = 'westeurope';
const scope = (group: string) => `/subscriptions/${SUBSCRIPTION}/resourceGroups/${group}`;

let folder: string;
let simulator: AzureSimulator;
let connection: AzureConnection;
let vmId: string;
let dataDiskId: string;
const environment = { ...process.env };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-adapters-'));
  simulator = await AzureSimulator.start({ stateFolder: folder });
  trustAuthority(simulator.tls.caPem);
  simulator.addSubscription({ subscriptionId: SUBSCRIPTION, displayName: 'Test' });
  const app = simulator.addPrincipal({ name: 'app' }).objectId;
  for (const [group, role] of [
    ['vms', 'Holdfast Protect'],
    ['restored', 'Holdfast Restore'],
    ['workers', 'Holdfast Worker'],
  ] as const) {
    simulator.addResourceGroup({ subscription: SUBSCRIPTION, name: group, location: LOCATION });
    simulator.assignRole({ principalId: app, role, scope: scope(group) });
  }
  const machine = await simulator.addVirtualMachine({
    subscription: SUBSCRIPTION,
    group: 'vms',
    name: 'web1',
    location: LOCATION,
    tags: { backup: 'gold' },
    osDisk: { sizeBytes: 64 * MiB },
    dataDisks: [{ sizeBytes: 4 * TiB, lun: 5 }],
  });
  vmId = machine.id;
  dataDiskId = `${scope('vms')}/providers/Microsoft.Compute/disks/web1_DataDisk_0`;
  const { header } = simulator.registerApp({ name: 'app', systemAssigned: app });
  process.env.IDENTITY_ENDPOINT = simulator.identityEndpoint;
  process.env.IDENTITY_HEADER = header;
  connection = new AzureConnection(
    { armEndpoint: simulator.url, subscriptionId: SUBSCRIPTION },
    { credential: appCredential() },
  );
});
afterEach(() => {
  const unfired = simulator.listFaults().filter(({ fired }) => fired === 0);
  simulator.clearFaults();
  if (unfired.length > 0) throw new Error(`Faults never happened: ${JSON.stringify(unfired)}`);
});
afterAll(async () => {
  process.env = environment;
  await closeDiskConnections();
  await simulator.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Polls as the activities do, each time from the operation as kept. */
async function finish(started: Promise<Operation>) {
  const kept = JSON.stringify(await started);
  expect(kept.length).toBeLessThan(2048);
  for (;;) {
    const state = await pollOperation(connection, JSON.parse(kept) as Operation);
    if (state.status !== 'running') return state;
  }
}
const done = async (started: Promise<Operation>) =>
  expect(await finish(started)).toEqual({ status: 'succeeded' });
const snapshotOf = (name: string) => ({
  subscriptionId: SUBSCRIPTION,
  resourceGroup: 'vms',
  name,
  location: LOCATION,
  sourceDiskId: dataDiskId,
  tags: { 'holdfast:owner': name },
});

describe('a machine', () => {
  it('is listed and read with its disks and network interfaces', async () => {
    const machines = new VirtualMachines(connection);
    const listed = [];
    for await (const machine of machines.list({ subscriptionId: SUBSCRIPTION, resourceGroup: 'vms' }))
      listed.push(machine);
    expect(listed.map(({ name }) => name)).toEqual(['web1']);
    const read = machineConfigurationSchema.parse(await machines.readConfiguration(vmId));
    expect(read.machine).toEqual({ ...listed[0], powerState: 'running' });
    expect(read.networkInterfaces).toHaveLength(1);
    expect(read.disks.map(({ role, lun, sizeBytes }) => [role, lun, sizeBytes])).toEqual([
      ['os', null, 64 * MiB],
      ['data', 5, 4 * TiB],
    ]);
  });

  it('that was never there is gone', async () => {
    const missing = vmId.replace('web1', 'web9');
    expect(await failure(new VirtualMachines(connection).get(missing))).toMatchObject({
      code: 'machineGone',
    });
  });

  it('in a group without a role is denied', async () => {
    simulator.addResourceGroup({ subscription: SUBSCRIPTION, name: 'others', location: LOCATION });
    const denied = new VirtualMachines(connection).get(vmId.replace(/vms/i, 'others'));
    expect(await failure(denied)).toMatchObject({ code: 'accessDenied' });
  });
});

describe('snapshots and what is behind their SAS', () => {
  it('a full read, a difference and its bytes are those of the disk; revoked access is over at once', async () => {
    const snapshots = new Snapshots(connection);
    const grants = new DiskGrants(connection);
    const first = randomBytes(256 * KiB);
    const second = randomBytes(64 * KiB);
    await simulator.writeDisk({ diskId: dataDiskId, offset: 3 * TiB, data: first });
    await simulator.writeDisk({ diskId: dataDiskId, offset: 0, data: first });
    await done(snapshots.startCreate(snapshotOf('s1')));
    await simulator.writeDisk({ diskId: dataDiskId, offset: 3 * TiB + 64 * KiB, data: second });
    await simulator.clearDisk({ diskId: dataDiskId, offset: 0, length: 128 * KiB });
    await done(snapshots.startCreate(snapshotOf('s2')));

    const s1 = await snapshots.get(Snapshots.idOf(snapshotOf('s1')));
    const s2 = await snapshots.get(Snapshots.idOf(snapshotOf('s2')));
    expect(s1.familyId).toBe(s2.familyId);
    expect(s1).toMatchObject({
      downloadable: true,
      sizeBytes: 4 * TiB,
      tags: { 'holdfast:owner': 's1' },
      incremental: true,
    });
    const { disks } = await new VirtualMachines(connection).readConfiguration(vmId);
    expect(s1.sourceUniqueId).toBe(disks[1]?.uniqueId);

    const sourceUrl = await grants.grantAccess(s2.id, 'Read', 3600);
    const baseUrl = await grants.grantAccess(s1.id, 'Read', 3600);
    const disk = new SnapshotDisk({ sourceUrl, baseUrl, sizeBytes: 4 * TiB });
    const whole = { offset: 0, length: 4 * TiB };
    expect(await disk.changed(whole)).toEqual({
      changed: [{ offset: 3 * TiB + 64 * KiB, length: 64 * KiB }],
      cleared: [{ offset: 0, length: 128 * KiB }],
    });
    expect(await disk.allocated(whole)).toEqual([
      { offset: 128 * KiB, length: 128 * KiB },
      { offset: 3 * TiB, length: 256 * KiB },
    ]);
    const expected = Buffer.concat([first.subarray(0, 64 * KiB), second, first.subarray(128 * KiB)]);
    expect((await disk.read(3 * TiB, 256 * KiB)).equals(expected)).toBe(true);
    expect((await disk.read(0, 128 * KiB)).every((byte) => byte === 0)).toBe(true);

    // While it is granted Azure does not delete it.
    expect(await failure(finish(snapshots.startRemove(s2.id)))).toMatchObject({ code: 'conflict' });
    await grants.revokeAccess(s2.id);
    expect(await failure(disk.read(0, 512))).toMatchObject({ code: 'accessExpired' });
    await grants.revokeAccess(s1.id);
    expect(simulator.activeGrants()).toEqual([]);
    await done(snapshots.startRemove(s2.id));
    expect(await snapshots.find(s2.id)).toBeNull();
    await done(snapshots.startRemove(s2.id));
  });

  it('can be read by a process that has URLs and a trusted authority, and no rights at all', async () => {
    const snapshots = new Snapshots(connection);
    const grants = new DiskGrants(connection);
    const osDisk = `${scope('vms')}/providers/Microsoft.Compute/disks/web1_OsDisk`;
    const bytes = randomBytes(MiB);
    await simulator.writeDisk({ diskId: osDisk, offset: 0, data: bytes });
    const request = { ...snapshotOf('os0'), sourceDiskId: osDisk };
    await done(snapshots.startCreate(request));
    const id = Snapshots.idOf(request);
    const sourceUrl = await grants.grantAccess(id, 'Read', 600);
    const child = spawn(process.execPath, [join(import.meta.dirname, 'readingProcess.ts')], {
      env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: simulator.tls.caFile },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(JSON.stringify({ sourceUrl, sizeBytes: 64 * MiB }));
    const answer: unknown = JSON.parse(await text(child.stdout));
    expect(answer).toEqual({
      digest: createHash('sha256').update(bytes).digest('hex'),
      ranges: [{ offset: 0, length: MiB }],
    });
    await grants.revokeAccess(id);
  });

  it('a difference from another family is refused as diffFailed, not as an expired SAS', async () => {
    const snapshots = new Snapshots(connection);
    const grants = new DiskGrants(connection);
    const other = {
      ...snapshotOf('os1'),
      sourceDiskId: `${scope('vms')}/providers/Microsoft.Compute/disks/web1_OsDisk`,
    };
    await done(snapshots.startCreate(other));
    const id = Snapshots.idOf(other);
    const base = Snapshots.idOf(snapshotOf('s1'));
    const [sourceUrl, baseUrl] = [
      await grants.grantAccess(id, 'Read', 600),
      await grants.grantAccess(base, 'Read', 600),
    ];
    const disk = new SnapshotDisk({ sourceUrl, baseUrl, sizeBytes: 64 * MiB });
    expect(await failure(disk.changed({ offset: 0, length: 64 * MiB }))).toMatchObject({
      code: 'diffFailed',
    });
    await grants.revokeAccess(id);
    await grants.revokeAccess(base);
  });

  it('are listed by tag and re-tagged', async () => {
    const snapshots = new Snapshots(connection);
    const id = Snapshots.idOf(snapshotOf('s1'));
    await done(snapshots.startReplaceTags(id, { 'holdfast:owner': 'kept' }));
    const found = [];
    const scoped = {
      subscriptionId: SUBSCRIPTION,
      resourceGroup: 'vms',
      tag: { name: 'Holdfast:Owner', value: 'kept' },
    };
    for await (const snapshot of snapshots.list(scoped)) found.push(snapshot.id.toLowerCase());
    expect(found).toEqual([id.toLowerCase()]);
  });

  it('more than seven of a disk in five minutes are throttled', async () => {
    const snapshots = new Snapshots(connection);
    simulator.advanceClock({ ms: 10 * 60_000 });
    for (let i = 0; i < 7; i++) await done(snapshots.startCreate(snapshotOf(`many${i}`)));
    const eighth = finish(snapshots.startCreate(snapshotOf('many7')));
    expect(await failure(eighth)).toMatchObject({ code: 'throttled', retryable: true });
  });

  it('at most five of a family are granted at a time', async () => {
    const grants = new DiskGrants(connection);
    const ids = Array.from({ length: 6 }, (_, i) => Snapshots.idOf(snapshotOf(`many${i}`)));
    for (const id of ids.slice(0, 5)) await grants.grantAccess(id, 'Read', 600);
    expect(await failure(grants.grantAccess(ids[5] ?? '', 'Read', 600))).toMatchObject({ code: 'conflict' });
    for (const id of ids) await grants.revokeAccess(id);
    expect(simulator.activeGrants()).toEqual([]);
  });

  it('an operation that fails late keeps its code, and a lost answer is made good by asking again', async () => {
    simulator.advanceClock({ ms: 10 * 60_000 });
    const snapshots = new Snapshots(connection);
    const path = 'snapshots/late';
    simulator.injectFault({
      match: { method: 'PUT', path },
      effect: {
        kind: 'operation',
        status: 'Failed',
        code: 'InternalExecutionError',
        message: 'An internal execution error occurred.',
      },
    });
    expect(await finish(snapshots.startCreate(snapshotOf('late')))).toMatchObject({
      status: 'failed',
      failure: { code: 'unavailable', retryable: true },
    });
    simulator.injectFault({ match: { method: 'PUT', path }, effect: { kind: 'drop', when: 'after' } });
    await done(snapshots.startCreate(snapshotOf('late')));
    expect(await snapshots.find(Snapshots.idOf(snapshotOf('late')))).toMatchObject({ downloadable: true });
  });
});

describe('a disk that is restored by upload', () => {
  const request = {
    subscriptionId: SUBSCRIPTION,
    resourceGroup: 'restored',
    name: 'restored-0',
    location: LOCATION,
    sizeBytes: 1 * GiB,
    sku: 'Premium_LRS',
    tags: {},
  };
  const id = DiskUploads.idOf(request);

  it('holds what was written, and is accepted with its footer only', async () => {
    const uploads = new DiskUploads(connection);
    const grants = new DiskGrants(connection);
    expect(await uploads.find(id)).toBeNull();
    await done(uploads.startCreate(request));
    expect(await uploads.get(id)).toMatchObject({ diskState: 'ReadyToUpload', sku: 'Premium_LRS' });
    const targetUrl = await grants.grantAccess(id, 'Write', 3600);
    const disk = new UploadDisk({ targetUrl, sizeBytes: request.sizeBytes });
    const bytes = randomBytes(5 * MiB);
    await disk.write(GiB - 5 * MiB, bytes);
    const refused = await failure(grants.revokeAccess(id));
    expect(refused).toMatchObject({ code: 'invalidInput' });
    expect(refused.message).toMatch(/InvalidVhd/);

    const again = new UploadDisk({
      targetUrl: await grants.grantAccess(id, 'Write', 3600),
      sizeBytes: request.sizeBytes,
    });
    await again.writeFooter();
    await grants.revokeAccess(id);
    expect(await uploads.get(id)).toMatchObject({ diskState: 'Unattached' });
    expect(
      (await simulator.readDisk({ diskId: id, offset: GiB - 5 * MiB, length: 5 * MiB })).equals(bytes),
    ).toBe(true);
    expect(await failure(again.write(0, Buffer.alloc(512)))).toMatchObject({ code: 'accessExpired' });
    await done(uploads.startRemove(id));
    expect(await uploads.find(id)).toBeNull();
  });
});

describe('a worker', () => {
  const request = (subnetId: string) => ({
    resourceGroup: 'workers',
    name: 'hf-westeurope-0-1',
    location: LOCATION,
    size: 'Standard_D4as_v5',
    image: { publisher: 'Canonical', offer: 'ubuntu-24_04-lts', sku: 'server', version: 'latest' },
    subnetId,
    customData: '#cloud-config\n{}\n',
    tags: { 'holdfast:role': 'worker' },
  });

  it('is made with its network, stopped, started, found, and removed without a trace', async () => {
    const network = { resourceGroup: 'workers', location: LOCATION, namePrefix: 'hf', tags: {} };
    const subnetId = await ensureWorkerNetwork(connection, network);
    expect(await ensureWorkerNetwork(connection, network)).toBe(subnetId);
    const workers = new WorkerMachines(connection);
    const id = workers.idOf('workers', 'hf-westeurope-0-1');
    expect(await workers.find(id)).toBeNull();
    await done(workers.startCreate(request(subnetId)));
    await done(workers.startCreate(request(subnetId)));
    const worker = await workers.find(id);
    expect(worker).toMatchObject({
      powerState: 'running',
      provisioningState: 'Succeeded',
      size: 'Standard_D4as_v5',
    });
    expect(worker?.principalId).toMatch(/^[0-9a-f-]{36}$/);
    await done(workers.startDeallocate(id));
    expect((await workers.find(id))?.powerState).toBe('deallocated');
    await done(workers.startStart(id));
    expect((await workers.find(id))?.powerState).toBe('running');
    expect(
      (await workers.list('workers', { name: 'holdfast:role', value: 'worker' })).map(({ name }) => name),
    ).toEqual(['hf-westeurope-0-1']);
    expect(await workers.listOrphans('workers', 'hf-')).toEqual([]);
    await done(workers.startRemove(id));
    expect(await workers.find(id)).toBeNull();
    await done(workers.startRemove(id));
    expect(await workers.listOrphans('workers', 'hf-')).toEqual([]);
    expect(simulator.requests({ path: 'hf-westeurope-0-1-(os|nic)', method: 'DELETE' })).toEqual([]);
  });

  it('without room or quota says so, whether Azure says it at once or late', async () => {
    const subnetId = await ensureWorkerNetwork(connection, {
      resourceGroup: 'workers',
      location: LOCATION,
      namePrefix: 'hf',
      tags: {},
    });
    const workers = new WorkerMachines(connection);
    const where = { location: LOCATION, size: 'Standard_D4as_v5' };
    simulator.addShortage({ ...where, kind: 'SkuNotAvailable' });
    expect(await failure(workers.startCreate(request(subnetId)))).toMatchObject({
      code: 'capacityUnavailable',
    });
    simulator.addShortage({ ...where, kind: 'AllocationFailed' });
    expect(await finish(workers.startCreate(request(subnetId)))).toMatchObject({
      status: 'failed',
      failure: { code: 'capacityUnavailable', retryable: true },
    });
    simulator.removeShortage(where);
    await done(workers.startRemove(workers.idOf('workers', 'hf-westeurope-0-1')));
    simulator.setCoreQuota({ subscription: SUBSCRIPTION, location: LOCATION, limit: 2 });
    expect(await failure(workers.startCreate(request(subnetId)))).toMatchObject({ code: 'quotaExceeded' });
  });
});

describe('the vault', () => {
  it('gives its secrets to who may read them', async () => {
    const { id, url } = simulator.addKeyVault({
      subscription: SUBSCRIPTION,
      group: 'workers',
      name: 'hf-vault',
    });
    const officer = simulator.addPrincipal({ name: 'officer' }).objectId;
    simulator.assignRole({ principalId: officer, role: 'Key Vault Secrets Officer', scope: id });
    const admin = new SecretClient(url, simulator.credential(officer), {
      disableChallengeResourceVerification: true,
    });
    await admin.setSecret('password', 'correct horse');
    const vault = new KeyVaultSecrets(url, appCredential());
    expect(await failure(vault.getSecret('password'))).toMatchObject({
      code: 'accessDenied',
      target: 'password',
    });
    const [app] = simulator.requests({ surface: 'arm' }).map(({ principal }) => principal);
    simulator.assignRole({ principalId: app ?? '', role: 'Key Vault Secrets User', scope: id });
    expect(await vault.getSecret('password')).toBe('correct horse');
    expect(await failure(vault.getSecret('missing'))).toMatchObject({ code: 'notFound', target: 'missing' });
  });
});
