import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AdjustableClock, AdminClient } from '../../local/azure/index.ts';
import { GROUP, groupScope, LOCATION, Rig, refused, SUBSCRIPTION } from './rig.ts';

describe('operations, faults, limits, tags and the admin API', () => {
  let rig: Rig;
  const clock = new AdjustableClock();
  beforeAll(async () => {
    rig = await Rig.start({
      clock,
      settings: {
        operations: { retryAfterSeconds: 0 },
        limits: { snapshotCreateHydrate: [20, 8000], tags: 50 },
      },
    });
  });
  afterEach(() => {
    const forgotten = rig.simulator.faults.unfired();
    rig.simulator.clearFaults();
    if (forgotten.length > 0) throw new Error(`Faults that never fired: ${JSON.stringify(forgotten)}`);
  });
  afterAll(() => rig.stop());

  const fast = { updateIntervalInMs: 5 };
  const disk = (name: string) =>
    rig
      .compute()
      .disks.createOrUpdate(
        GROUP,
        name,
        { location: LOCATION, creationData: { createOption: 'Empty' }, diskSizeGB: 1 },
        fast,
      );
  const diskPath = (name: string) =>
    `${groupScope()}/providers/Microsoft.Compute/disks/${name}?api-version=2026-03-02`;

  it('keeps an operation in progress for as many polls as ordered', async () => {
    rig.simulator.injectFault({
      match: { method: 'PUT', path: '/disks/slow' },
      effect: { kind: 'slow', polls: 3 },
    });
    expect(await disk('slow')).toMatchObject({ provisioningState: 'Succeeded' });
    const polls = rig.simulator.requests({ path: 'DiskOperations' });
    expect(polls).toHaveLength(4);
    expect(rig.simulator.requests({ path: '/disks/slow\\?', method: 'GET' })).toHaveLength(1);
  });

  it("holds an operation until its time of the simulator's clock has come, whatever is polled", async () => {
    rig.simulator.injectFault({
      match: { method: 'PUT', path: '/disks/timed' },
      effect: { kind: 'slow', polls: 0, delayMs: 30_000 },
    });
    const put = await rig.arm('PUT', diskPath('timed'), {
      location: LOCATION,
      properties: { creationData: { createOption: 'Empty' }, diskSizeGB: 1 },
    });
    expect(put.headers.get('retry-after')).toBe('15');
    const monitor = put.headers.get('location') as string;
    const status = put.headers.get('azure-asyncoperation') as string;
    expect(await rig.arm('GET', status)).toMatchObject({ body: { status: 'InProgress' } });
    expect((await rig.arm('GET', monitor)).status).toBe(202);
    clock.advance(30_000);
    expect(await rig.arm('GET', status)).toMatchObject({
      body: { status: 'Succeeded', properties: { output: { name: 'timed' } } },
    });
    expect(await rig.arm('GET', monitor)).toMatchObject({ status: 200, body: { name: 'timed' } });
  });

  it('finishes an operation over a restart', async () => {
    rig.simulator.injectFault({
      match: { method: 'PUT', path: '/disks/over' },
      effect: { kind: 'slow', polls: 0, delayMs: 60_000 },
    });
    const put = await rig.arm('PUT', diskPath('over'), {
      location: LOCATION,
      properties: { creationData: { createOption: 'Empty' }, diskSizeGB: 1 },
    });
    const status = new URL(put.headers.get('azure-asyncoperation') as string);
    await rig.restart();
    expect(await rig.arm('GET', status.pathname + status.search)).toMatchObject({
      body: { status: 'InProgress' },
    });
    clock.advance(60_000);
    expect(await rig.arm('GET', status.pathname + status.search)).toMatchObject({
      body: { status: 'Succeeded' },
    });
  });

  it('ends an operation as ordered, with the error in its last poll', async () => {
    rig.simulator.injectFault({
      match: { method: 'PUT', path: '/disks/bad' },
      effect: { kind: 'operation', status: 'Failed', code: 'InternalExecutionError', message: 'no luck' },
    });
    await expect(disk('bad')).rejects.toThrow(
      'The long-running operation has failed. InternalExecutionError. no luck',
    );
    expect((await rig.compute().disks.get(GROUP, 'bad')).provisioningState).toBe('Failed');
    rig.simulator.injectFault({
      match: { method: 'DELETE', path: '/disks/bad' },
      effect: { kind: 'operation', status: 'Canceled', code: 'OperationPreempted', message: 'other' },
    });
    await expect(rig.compute().disks.delete(GROUP, 'bad', fast)).rejects.toThrow(/cancel/i);
    expect((await rig.compute().disks.get(GROUP, 'bad')).name).toBe('bad');
  });

  it('does not hand out a SAS whose grant failed', async () => {
    await disk('ungranted');
    rig.simulator.injectFault({
      match: { method: 'POST', path: 'beginGetAccess' },
      effect: { kind: 'operation', status: 'Failed', code: 'InternalError', message: 'x' },
    });
    await expect(
      rig.compute().disks.grantAccess(GROUP, 'ungranted', { access: 'Read', durationInSeconds: 60 }, fast),
    ).rejects.toThrow('InternalError');
    expect(rig.simulator.activeGrants()).toEqual([]);
  });

  it('answers as ordered the nth time, and counts', async () => {
    await disk('nth');
    const { id } = rig.simulator.injectFault({
      match: { method: 'GET', path: '/disks/nth' },
      skip: 1,
      times: 2,
      effect: { kind: 'respond', status: 409, code: 'AnotherOperationInProgress', message: 'wait' },
    });
    const get = () => refused(rig.compute().disks.get(GROUP, 'nth'));
    expect(await get()).toBeUndefined();
    expect(await get()).toMatchObject({ status: 409, code: 'AnotherOperationInProgress' });
    expect(await get()).toMatchObject({ status: 409 });
    expect(await get()).toBeUndefined();
    expect(rig.simulator.faults.get(id)).toMatchObject({ seen: 4, fired: 2 });
    expect(rig.simulator.requests({ path: '/disks/nth', status: 409 })).toHaveLength(2);
  });

  it('loses an answer after the work is done, and the repeated PUT finds it', async () => {
    rig.simulator.injectFault({
      match: { method: 'PUT', path: '/disks/lost' },
      effect: { kind: 'drop', when: 'after' },
    });
    expect(await disk('lost')).toMatchObject({ provisioningState: 'Succeeded' });
    expect(
      rig.simulator.requests({ path: '/disks/lost', method: 'PUT' }).map(({ status }) => status),
    ).toEqual([0, 202]);
  });

  it('holds a request until it is let go', async () => {
    const { id } = rig.simulator.injectFault({
      match: { path: '/disks/nth' },
      effect: { kind: 'hold', when: 'before' },
    });
    let done = false;
    const get = (async () => {
      await rig.compute().disks.get(GROUP, 'nth');
      done = true;
    })();
    await rig.simulator.faults.met(id);
    expect(done).toBe(false);
    rig.simulator.releaseFault({ id });
    await get;
  });

  it('throttles the compute service per subscription with the recorded body', async () => {
    const grant = () =>
      rig.arm(
        'POST',
        `${groupScope()}/providers/Microsoft.Compute/disks/nth/beginGetAccess?api-version=2026-03-02`,
        { access: 'Read', durationInSeconds: 60 },
      );
    let answer = await grant();
    for (let n = 0; n < 30 && answer.status === 202; n += 1) answer = await grant();
    expect(answer).toMatchObject({
      status: 429,
      body: {
        error: {
          code: 'OperationNotAllowed',
          details: [{ code: 'TooManyRequests', target: 'HighCostSnapshotCreateHydrate3Min' }],
        },
      },
    });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    clock.advance(180_000);
    expect((await grant()).status).toBe(202);
    await rig.compute().disks.revokeAccess(GROUP, 'nth', fast);
  });

  it('throttles a principal in the resource manager and refills with time', async () => {
    const path = `/subscriptions/${SUBSCRIPTION}/resourceGroups?api-version=2021-04-01`;
    let answer = await rig.arm('GET', path);
    const before = Number(answer.headers.get('x-ms-ratelimit-remaining-subscription-reads'));
    expect(before).toBeLessThan(250);
    for (let n = 0; n < 2 * before + 50 && answer.status === 200; n += 1) answer = await rig.arm('GET', path);
    expect(answer).toMatchObject({ status: 429, body: { error: { code: 'SubscriptionRequestsThrottled' } } });
    clock.advance(60_000);
    expect((await rig.arm('GET', path)).status).toBe(200);
  });

  it('takes at most fifty tags, and none that Azure would not', async () => {
    await disk('tagged');
    const update = (tags: Record<string, string>) =>
      refused(rig.compute().disks.update(GROUP, 'tagged', { tags }, fast));
    const many = (n: number) =>
      Object.fromEntries(Array.from({ length: n }, (_, index) => [`t${index}`, 'x']));
    expect(await update(many(50))).toBeUndefined();
    expect(await update(many(51))).toMatchObject({ status: 400 });
    expect(await update({ 'a/b': 'x' })).toMatchObject({ status: 400, code: 'InvalidTagNameCharacters' });
    expect(await update({ a: 'x'.repeat(257) })).toMatchObject({ status: 400 });
    expect(await update({ ['n'.repeat(513)]: 'x' })).toMatchObject({ status: 400 });
    expect(await update({ ['n'.repeat(512)]: 'x'.repeat(256) })).toBeUndefined();
  });

  it('merges, replaces and deletes tags with the right on tags alone', async () => {
    const tagger = rig.principal('tagger', 'Tag Contributor', groupScope());
    const { tagsOperations } = rig.resources(tagger);
    const scope = `${groupScope()}/providers/Microsoft.Compute/disks/tagged`;
    const patch = async (operation: string, tags: Record<string, string>) =>
      (await tagsOperations.updateAtScope(scope, { operation, properties: { tags } })).properties.tags;
    expect(await patch('Replace', { A: '1', b: '2' })).toEqual({ A: '1', b: '2' });
    expect(await patch('Merge', { a: '3', c: '4' })).toEqual({ A: '3', b: '2', c: '4' });
    expect(await patch('Delete', { b: '2', c: 'other' })).toEqual({ A: '3', c: '4' });
    expect((await rig.compute().disks.get(GROUP, 'tagged')).tags).toEqual({ A: '3', c: '4' });
    expect((await tagsOperations.getAtScope(scope)).properties.tags).toEqual({ A: '3', c: '4' });
    expect(await refused(rig.compute(tagger).disks.update(GROUP, 'tagged', { tags: {} }))).toMatchObject({
      status: 403,
    });
  });

  it('finds resources by tag over groups', async () => {
    const ids = async (filter: string) => {
      const found: string[] = [];
      for await (const one of rig.resources().resources.list({ filter })) found.push(one.name as string);
      return found;
    };
    expect(await ids("tagName eq 'a' and tagValue eq '3'")).toEqual(['tagged']);
    expect(await ids("tagName eq 'a' and tagValue eq '4'")).toEqual([]);
    expect(await ids("resourceType eq 'Microsoft.Compute/virtualMachines'")).toEqual([]);
    expect(await refused(ids("name eq 'x'"))).toMatchObject({ status: 400 });
  });

  it('deletes a group with everything in it', async () => {
    const { resourceGroups } = rig.resources();
    expect(
      await resourceGroups.createOrUpdate('gone', { location: LOCATION, tags: { x: 'y' } }),
    ).toMatchObject({ name: 'gone', tags: { x: 'y' } });
    await rig
      .compute()
      .disks.createOrUpdate(
        'gone',
        'd',
        { location: LOCATION, creationData: { createOption: 'Empty' }, diskSizeGB: 1 },
        fast,
      );
    await resourceGroups.delete('gone', fast);
    expect(await refused(resourceGroups.get('gone'))).toMatchObject({
      status: 404,
      code: 'ResourceGroupNotFound',
    });
    expect(rig.simulator.store.list()).toHaveLength((await disks()).length);
  });
  const disks = async () => {
    const found: unknown[] = [];
    for await (const one of rig.compute().disks.list()) found.push(one);
    return found;
  };

  it('refuses to delete networks in use and cleans up addresses', async () => {
    const network = rig.network();
    const nsg = await network.networkSecurityGroups.createOrUpdate(GROUP, 'n', { location: LOCATION }, fast);
    const vnet = await network.virtualNetworks.createOrUpdate(
      GROUP,
      'v',
      { location: LOCATION, addressSpace: { addressPrefixes: ['10.9.0.0/16'] } },
      fast,
    );
    const subnet = await network.subnets.createOrUpdate(
      GROUP,
      'v',
      's',
      { addressPrefix: '10.9.1.0/24', networkSecurityGroup: { id: nsg.id as string } },
      fast,
    );
    const ip = await network.publicIPAddresses.createOrUpdate(
      GROUP,
      'ip',
      { location: LOCATION, sku: { name: 'Standard' } },
      fast,
    );
    expect(vnet.subnets ?? []).toEqual([]);
    const nic = await network.networkInterfaces.createOrUpdate(
      GROUP,
      'i',
      {
        location: LOCATION,
        ipConfigurations: [
          { name: 'c', subnet: { id: subnet.id as string }, publicIPAddress: { id: ip.id as string } },
        ],
      },
      fast,
    );
    expect(nic).toMatchObject({
      provisioningState: 'Succeeded',
      ipConfigurations: [{ privateIPAddress: '10.9.1.4', primary: true }],
    });
    expect(await refused(network.virtualNetworks.delete(GROUP, 'v', fast))).toMatchObject({
      status: 400,
      code: 'InUseSubnetCannotBeDeleted',
    });
    expect(await refused(network.networkSecurityGroups.delete(GROUP, 'n', fast))).toMatchObject({
      status: 400,
      code: 'InUseNetworkSecurityGroupCannotBeDeleted',
    });
    await network.networkInterfaces.delete(GROUP, 'i', fast);
    await network.subnets.delete(GROUP, 'v', 's', fast);
    await network.networkSecurityGroups.delete(GROUP, 'n', fast);
    await network.virtualNetworks.delete(GROUP, 'v', fast);
    const left: string[] = [];
    for await (const one of network.virtualNetworks.listAll()) left.push(one.name as string);
    expect(left).toEqual([]);
  });

  it('answers the admin API to whom has the key, with the same types', async () => {
    const { adminUrl, adminKey } = rig.simulator;
    expect((await fetch(`${adminUrl}/_admin/requests`, { method: 'POST' })).status).toBe(401);
    const admin = new AdminClient({ adminUrl, adminKey });
    const { id } = await admin.call('addDisk', {
      subscription: SUBSCRIPTION,
      group: GROUP,
      location: LOCATION,
      name: 'remote',
      sizeBytes: 2 ** 20,
    });
    await admin.call('writeDisk', { diskId: id, offset: 512, data: Buffer.alloc(512, 6) });
    expect(await admin.call('readDisk', { diskId: id, offset: 512, length: 4 })).toEqual(Buffer.alloc(4, 6));
    await admin.call('clearDisk', { diskId: id, offset: 0, length: 4096 });
    expect(await admin.call('describeDisk', { diskId: id })).toEqual({
      sizeBytes: 2 ** 20,
      allocatedBytes: 0,
    });
    await expect(admin.call('readDisk', { diskId: 'nope', offset: 0, length: 1 })).rejects.toThrow(
      'No disk or snapshot has the id nope',
    );
    const { now } = await admin.call('advanceClock', { ms: 0 });
    expect(new Date(now).getTime()).toBeGreaterThan(0);
    expect(
      await fetch(`${rig.simulator.adminUrl}/subscriptions`, {
        headers: { 'x-holdfast-admin-key': adminKey },
      }),
    ).toMatchObject({ status: 404 });
  });

  it('answers ARM and nothing of the admin API on its public port', async () => {
    const answer = await rig.arm(
      'POST',
      '/_admin/requests',
      {},
      { 'x-holdfast-admin-key': rig.simulator.adminKey },
    );
    expect(answer.status).toBe(404);
  });
});
