import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB } from '../../../lib/model/index.ts';
import { needMachine } from '../../../lib/sessions/index.ts';
import { GROUP, Lab, SUBSCRIPTION } from '../lab.ts';
import { ask, pointOf, restored, snapshotsOf } from './support.ts';

describe('the snapshots of a machine', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
    lab.simulator.addResourceGroup({ subscription: SUBSCRIPTION, name: 'keep', location: 'westeurope' });
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  const puts = () => lab.simulator.requests({ method: 'PUT', path: '/snapshots/' }).length;

  it('carry the tags of the source disks and of the policy beside their own, and say what they count for', async () => {
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'tagged',
      location: 'westeurope',
      osDisk: { sizeBytes: 64 * MiB, tags: { team: 'disk', cost: '42' } },
      dataDisks: [{ sizeBytes: 32 * MiB, tags: { role: 'data' } }],
    });
    const machine = await needMachine(lab.installation, 'tagged');
    const snapshots = { copyTags: true, tags: { team: 'policy', tier: 'gold' } };
    const session = await ask(lab, machine, { snapshots }, { flags: ['weekly', 'daily'] });
    expect(session.status).toBe('succeeded');
    const tags = (await snapshotsOf(lab, machine)).map((info) => info.tags);
    expect(tags).toHaveLength(2);
    for (const of of tags)
      expect(of).toMatchObject({
        'holdfast-owner': 'lab',
        'holdfast-machine': machine.id,
        'holdfast-session': session.id,
        'holdfast-flags': 'DW',
        team: 'policy',
        tier: 'gold',
      });
    expect(tags.filter((of) => of['cost'] === '42')).toHaveLength(1);
    expect(tags.filter((of) => of['role'] === 'data')).toHaveLength(1);
  });

  it('are made without copied tags unless the policy wants them', async () => {
    const machine = await needMachine(lab.installation, 'tagged');
    const before = (await snapshotsOf(lab, machine)).map(({ id }) => id);
    await ask(lab, machine);
    const [fresh] = (await snapshotsOf(lab, machine)).filter(({ id }) => !before.includes(id));
    expect(Object.keys(fresh?.tags ?? {}).filter((name) => !name.startsWith('holdfast-'))).toEqual([]);
  });

  it('are made in the group that the policy names, from where the backup is read and its base is found', async () => {
    const machine = await lab.machine('elsewhere');
    const protection = { snapshots: { resourceGroup: 'keep' } };
    const first = await ask(lab, machine, protection);
    const second = await ask(lab, machine, protection);
    expect([first.status, second.status]).toEqual(['succeeded', 'succeeded']);
    expect((await pointOf(lab, second)).disks[0]?.readReason).toBe('changedBlocks');
    for (const { resourceGroup } of await snapshotsOf(lab, machine)) expect(resourceGroup).toBe('keep');
    const [disk] = (await pointOf(lab, second)).disks;
    const bytes = await lab.bytes(disk?.snapshotId ?? '');
    expect((await restored(lab, second)).get(0)?.equals(bytes)).toBe(true);
  });

  it('are not begun when that group is not there', async () => {
    const machine = await lab.machine('nowhere');
    const before = puts();
    const session = await ask(lab, machine, { snapshots: { resourceGroup: 'missing' } });
    expect(session).toMatchObject({ status: 'failed', error: { code: 'notFound', target: 'missing' } });
    expect(session.error?.message).toContain('machine nowhere belong into resource group missing');
    expect(puts()).toBe(before);
  });

  it('are zone-redundant where the region has zones, unless the policy wants otherwise', async () => {
    const machine = await lab.machine('zonal');
    await ask(lab, machine);
    await ask(lab, machine, { snapshots: { redundancy: 'locallyRedundant' } });
    expect((await snapshotsOf(lab, machine)).map(({ sku }) => sku)).toEqual(['Standard_ZRS', 'Standard_LRS']);
    // One look at a long list does for all machines of the region.
    expect(lab.simulator.requests({ path: '/providers/Microsoft.Compute/skus' })).toHaveLength(1);
  });

  it('are refused before the first when a tag more would be too many, with the resource and the count', async () => {
    const machine = await lab.machine('crowded', 1);
    const before = puts();
    const tags = Object.fromEntries(Array.from({ length: 44 }, (_, i) => [`tag${i}`, 'x']));
    const session = await ask(lab, machine, { snapshots: { tags } });
    expect(session).toMatchObject({ status: 'failed', error: { code: 'tagLimit' } });
    expect(session.error?.message).toMatch(/crowded.* (carry|needs) \d+ tags/);
    expect(puts()).toBe(before);
    expect(await snapshotsOf(lab, machine)).toEqual([]);
  });

  it('are refused before the first when only the last of them would carry too many', async () => {
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'lastCrowded',
      location: 'westeurope',
      osDisk: { sizeBytes: 32 * MiB },
      dataDisks: [
        {
          sizeBytes: 32 * MiB,
          tags: Object.fromEntries(Array.from({ length: 48 }, (_, i) => [`tag${i}`, 'x'])),
        },
      ],
    });
    const machine = await needMachine(lab.installation, 'lastCrowded');
    const before = puts();
    const session = await ask(lab, machine, { snapshots: { copyTags: true } });
    expect(session).toMatchObject({ status: 'failed', error: { code: 'tagLimit' } });
    expect(puts()).toBe(before);
    expect(session.error?.message).toMatch(/lastCrowded.* 48 copied from the disk/);
  });

  it("fail with the service's own refusal in our words, naming the snapshot, when it counts otherwise", async () => {
    const machine = await lab.machine('refused');
    const { id } = lab.simulator.injectFault({
      match: { method: 'PUT', path: '/snapshots/' },
      effect: {
        kind: 'respond',
        status: 400,
        code: 'TooManyTags',
        message: 'The resource has too many tags.',
      },
    });
    const session = await ask(lab, machine);
    expect(lab.simulator.listFaults().find((fault) => fault.id === id)?.fired).toBe(1);
    expect(session).toMatchObject({ status: 'failed', error: { code: 'tagLimit' } });
    expect(session.error?.target).toContain(`/snapshots/holdfast-${session.id}`);
    expect(session.error?.message).toContain('Use fewer or other tags.');
  });

  it('alone need no chain: a backup of the machine may hold it, and the next one builds on the last backup', async () => {
    const machine = await lab.machine('both');
    await ask(lab, machine);
    const [chain] = (await lab.installation.catalog.chains.list()).filter(
      (row) => row.machineId === machine.id,
    );
    const { disks } = await lab.installation.azure.machines.readConfiguration(machine.armId);
    const write = (offset: number) => lab.write(disks[0]?.id ?? '', offset, randomBytes(4096));
    await write(2 * MiB);
    const holder = await lab.request(machine);
    await lab.activity('openSession', { sessionId: holder.id });
    const session = await ask(lab, machine, {}, { makes: 'snapshot', flags: ['daily'] });
    expect(session).toMatchObject({ kind: 'snapshot', status: 'succeeded', restorePoint: null });
    expect(await lab.session(holder.id)).toMatchObject({ status: 'succeeded' });
    const [after] = (await lab.installation.catalog.chains.list()).filter(
      (row) => row.machineId === machine.id,
    );
    expect(after?.chainId).toBe(chain?.chainId);
    const own = (await snapshotsOf(lab, machine)).filter(
      ({ tags }) => tags['holdfast-session'] === session.id,
    );
    expect(own).toHaveLength(1);
    // Read against the snapshot of the backup, not against the newer one that was made alone.
    await write(3 * MiB);
    await ask(lab, machine, {}, { makes: 'snapshot', flags: ['daily'] });
    const last = await ask(lab, machine);
    const [disk] = (await pointOf(lab, last)).disks;
    expect(disk?.readReason).toBe('changedBlocks');
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    const bytes = await lab.bytes(disk?.snapshotId ?? '');
    expect((await restored(lab, last)).get(0)?.equals(bytes)).toBe(true);
  });

  it('alone leave nothing when their session is cancelled before they are complete', async () => {
    const machine = await lab.machine('cancelled');
    lab.beforeActivity = async (name, input) => {
      if (name !== 'watchSnapshots') return;
      lab.beforeActivity = () => undefined;
      await lab.installation.catalog.sessions.requestCancel((input as { sessionId: string }).sessionId);
    };
    const session = await ask(lab, machine, {}, { makes: 'snapshot', flags: ['daily'] });
    expect(session.status).toBe('cancelled');
    expect(await snapshotsOf(lab, machine)).toEqual([]);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
  });

  it('are locally redundant in a region without zones, where a policy that wants more is refused', async () => {
    const subscription = '99999999-2222-3333-4444-555555555555';
    const place = { subscription, group: GROUP, location: 'westus' };
    lab.simulator.addSubscription({
      subscriptionId: subscription,
      displayName: 'West',
      locations: ['westus'],
    });
    lab.simulator.addResourceGroup({ subscription, name: GROUP, location: 'westus' });
    for (const { principalId, role, scope } of lab.simulator.roles.list())
      lab.simulator.assignRole({ principalId, role, scope: scope.replace(SUBSCRIPTION, subscription) });
    await lab.simulator.addVirtualMachine({ ...place, name: 'west', osDisk: { sizeBytes: 32 * MiB } });
    const listed: Machine[] = [];
    for await (const one of lab.installation.azure.machines.list({ subscriptionId: subscription }))
      listed.push(one);
    const [machine] = listed;
    if (!machine) throw new Error('There is no machine.');
    const before = puts();
    const refused = await ask(lab, machine, { snapshots: { redundancy: 'zoneRedundant' } });
    expect(refused).toMatchObject({ status: 'failed', error: { code: 'unsupported', target: 'westus' } });
    expect(puts()).toBe(before);
    expect((await ask(lab, machine)).status).toBe('succeeded');
    expect((await snapshotsOf(lab, machine)).map(({ sku }) => sku)).toEqual(['Standard_LRS']);
  });

  it('of a scheduled backup that failed stay as the snapshot of its slot: one a slot, no base, and none after a cancel', async () => {
    const machine = await lab.machine('promised');
    await ask(lab, machine);
    const slot = new Date(lab.clock.now().getTime() - 1000);
    const scheduled = { slot, flags: ['daily'] as const, policyId: 'nightly' };
    const tries = [];
    for (let attempt = 0; attempt < 2; attempt++) {
      const { id } = lab.simulator.injectFault({
        match: { method: 'POST', path: 'snapshots/.*/beginGetAccess' },
        effect: { kind: 'respond', status: 403, code: 'AuthorizationFailed', message: 'No.' },
        times: 100,
      });
      tries.push(await ask(lab, machine, {}, scheduled));
      expect(lab.simulator.listFaults().find((fault) => fault.id === id)?.fired).toBeGreaterThan(0);
      lab.simulator.clearFaults({ id });
    }
    expect(tries.map(({ status }) => status)).toEqual(['failed', 'failed']);
    const sessions = async () =>
      (await snapshotsOf(lab, machine)).map(({ tags }) => tags['holdfast-session']);
    expect((await sessions()).slice(-1)).toEqual([tries[0]?.id]);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);

    lab.beforeActivity = async (name, input) => {
      if (name !== 'readChanges') return;
      lab.beforeActivity = () => undefined;
      await lab.installation.catalog.sessions.requestCancel((input as { sessionId: string }).sessionId);
    };
    const cancelled = await ask(lab, machine, {}, { ...scheduled, slot: lab.clock.now() });
    expect(cancelled.status).toBe('cancelled');
    expect(await sessions()).not.toContain(cancelled.id);
    // The next backup is counted from the last restore point.
    expect((await pointOf(lab, await ask(lab, machine))).disks[0]?.readReason).toBe('changedBlocks');
  });
});
