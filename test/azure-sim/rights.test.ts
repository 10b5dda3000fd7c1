import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GROUP, groupScope, LOCATION, Rig, refused, SUBSCRIPTION } from './rig.ts';

describe('rights', () => {
  let rig: Rig;
  const diskId = `${groupScope()}/providers/Microsoft.Compute/disks/d`;
  beforeAll(async () => {
    rig = await Rig.start();
    await rig.simulator.addDisk({
      subscription: SUBSCRIPTION,
      group: GROUP,
      location: LOCATION,
      name: 'd',
      sizeBytes: 2 ** 30,
    });
    rig.simulator.addResourceGroup({ subscription: SUBSCRIPTION, name: 'other', location: LOCATION });
  });
  afterAll(() => rig.stop());

  const snap = (principal: string, group: string) =>
    rig.compute(principal).snapshots.createOrUpdate(group, 's', {
      location: LOCATION,
      incremental: true,
      creationData: { createOption: 'Copy', sourceResourceId: diskId },
    });

  it('refuses a request without, with a forged, a foreign or an expired token, naming where to get one', async () => {
    const path = `/subscriptions/${SUBSCRIPTION}/resourceGroups?api-version=2021-04-01`;
    const ask = (authorization: string) => rig.arm('GET', path, undefined, { authorization });
    const { token } = await rig.simulator.issueToken({
      principalId: rig.owner,
      resource: 'https://management.azure.com',
    });
    expect((await ask(`Bearer ${token}`)).status).toBe(200);
    const none = await ask('');
    expect(none).toMatchObject({ status: 401, body: { error: { code: 'AuthenticationFailed' } } });
    expect(none.headers.get('www-authenticate')).toContain(
      `authorization_uri="${rig.simulator.url}/${rig.simulator.tenantId}"`,
    );
    const [head, payload, signature] = token.split('.') as [string, string, string];
    const flipped = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    expect(await ask(`Bearer ${head}.${payload}.${flipped}`)).toMatchObject({
      status: 401,
      body: { error: { code: 'InvalidAuthenticationToken' } },
    });
    const storage = await rig.simulator.issueToken({
      principalId: rig.owner,
      resource: 'https://storage.azure.com',
    });
    expect(await ask(`Bearer ${storage.token}`)).toMatchObject({
      status: 401,
      body: { error: { code: 'InvalidAuthenticationTokenAudience' } },
    });
    const old = await rig.simulator.tokens.issue(rig.owner, 'https://management.azure.com', -10);
    expect(await ask(`Bearer ${old.token}`)).toMatchObject({
      status: 401,
      body: { error: { code: 'ExpiredAuthenticationToken' } },
    });
  });

  it('refuses a request without api-version, of an unknown subscription or group', async () => {
    expect(await rig.arm('GET', diskId)).toMatchObject({
      status: 400,
      body: { error: { code: 'MissingApiVersionParameter' } },
    });
    expect(await rig.arm('GET', '/subscriptions/nope/resourceGroups?api-version=1')).toMatchObject({
      status: 404,
      body: { error: { code: 'SubscriptionNotFound' } },
    });
    expect(await refused(rig.compute().disks.get('nope', 'd'))).toMatchObject({
      status: 404,
      code: 'ResourceGroupNotFound',
    });
  });

  it('refuses what no role allows with the recorded text', async () => {
    const reader = rig.principal('reader', 'Reader', groupScope());
    expect(await rig.compute(reader).disks.get(GROUP, 'd')).toMatchObject({ name: 'd' });
    const client = rig.simulator.tokens.principals.get(reader);
    expect(await refused(rig.compute(reader).disks.delete(GROUP, 'd'))).toEqual({
      status: 403,
      code: 'AuthorizationFailed',
      message: `The client '${client?.clientId}' with object id '${reader}' does not have authorization to perform action 'Microsoft.Compute/disks/delete' over scope '${diskId}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    });
    expect(await refused(rig.compute(reader).disks.get('other', 'd'))).toMatchObject({ status: 403 });
  });

  it('refuses a snapshot to whom may write snapshots but not read the source disk', async () => {
    rig.simulator.defineRole({ name: 'Snapshots only', actions: ['Microsoft.Compute/snapshots/*'] });
    const half = rig.principal('half', 'Snapshots only', `/subscriptions/${SUBSCRIPTION}`);
    expect(await refused(snap(half, 'other'))).toMatchObject({
      status: 403,
      code: 'LinkedAuthorizationFailed',
      message: expect.stringContaining(
        `does not have permission to perform action(s) 'Microsoft.Compute/disks/beginGetAccess/action' on the linked scope(s) '${diskId}'`,
      ),
    });
    const protect = rig.principal('protect', 'Holdfast Protect', groupScope());
    expect(await refused(snap(protect, 'other'))).toMatchObject({ code: 'AuthorizationFailed' });
    rig.simulator.assignRole({ principalId: protect, role: 'Holdfast Protect', scope: groupScope('other') });
    expect(await snap(protect, 'other')).toMatchObject({ provisioningState: 'Succeeded' });
    expect(rig.simulator.unassignRole({ principalId: protect })).toBe(2);
    expect(await refused(snap(protect, 'other'))).toMatchObject({ code: 'AuthorizationFailed' });
  });

  it('lets notActions take away what actions give', async () => {
    rig.simulator.defineRole({
      name: 'No deletes',
      actions: ['Microsoft.Compute/*'],
      notActions: ['*/delete'],
    });
    const careful = rig.principal('careful', 'No deletes', groupScope());
    expect(await rig.compute(careful).disks.update(GROUP, 'd', { tags: { a: '1' } })).toMatchObject({
      tags: { a: '1' },
    });
    expect(await refused(rig.compute(careful).disks.delete(GROUP, 'd'))).toMatchObject({ status: 403 });
  });

  it('shows in lists over the subscription only what the caller may read', async () => {
    const names = async (principal: string) => {
      const found: string[] = [];
      for await (const disk of rig.compute(principal).disks.list()) found.push(disk.name as string);
      return found;
    };
    expect(await names(rig.principal('in', 'Reader', groupScope()))).toEqual(['d']);
    expect(await names(rig.principal('out', 'Reader', groupScope('other')))).toEqual([]);
    const stranger = rig.simulator.addPrincipal({ name: 'stranger' }).objectId;
    expect(await refused(names(stranger))).toMatchObject({ status: 403 });
    const groups: string[] = [];
    for await (const group of rig
      .resources(rig.principal('one', 'Reader', groupScope('other')))
      .resourceGroups.list())
      groups.push(group.name as string);
    expect(groups).toEqual(['other']);
  });

  it('does not let a worker role touch the disks of another group', async () => {
    rig.simulator.addResourceGroup({ subscription: SUBSCRIPTION, name: 'workers', location: LOCATION });
    const launcher = rig.principal('launcher', 'Holdfast Worker', groupScope('workers'));
    expect(await refused(rig.compute(launcher).disks.get(GROUP, 'd'))).toMatchObject({ status: 403 });
    expect(
      await rig.compute(launcher).disks.createOrUpdate('workers', 'w', {
        location: LOCATION,
        creationData: { createOption: 'Empty' },
        diskSizeGB: 1,
      }),
    ).toMatchObject({ name: 'w' });
  });
});
