import { randomBytes } from 'node:crypto';
import { ComputeManagementClient } from '@azure/arm-compute';
import { TableClient } from '@azure/data-tables';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Machine, policySchema, type Session } from '../../../lib/model/index.ts';
import {
  describeSets,
  refuseRemoval,
  requestSnapshots,
  requestTending,
} from '../../../lib/sessions/index.ts';
import { readState } from '../../../lib/sessions/state.ts';
import { GROUP, Lab, SUBSCRIPTION } from '../lab.ts';
import { Terminated } from '../runOrchestrator.ts';
import { ask, reasonsOf, snapshotsOf } from './support.ts';

const HOUR = 3600_000;
const DAY = 24 * HOUR;

describe('snapshots that no retention of a policy looks at', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  beforeEach(() => {
    lab.beforeActivity = () => undefined;
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  const retentionDies = (name: string) => {
    if (name === 'removeExpired') throw new Terminated(name);
  };
  type Tend = Parameters<typeof requestTending>[2];
  /** Runs a session about all snapshots, as if so much time had passed; only what is decided lives in that time. */
  async function tend(request: Tend, later = 0): Promise<Session> {
    lab.clock.advance(later);
    const { id } = await requestTending(lab.installation, lab.instances, request, 'test');
    await lab.run();
    lab.clock.advance(-later);
    return lab.session(id);
  }
  const retain = (later = 0) => tend({ kind: 'snapshotRetention', orphanDays: 30 }, later);
  const setsOf = async (machine: Machine) =>
    (await describeSets(lab.installation)).filter(({ shown }) => shown.machineId === machine.id);
  async function take(machines: Machine[], expiresAt: string | null = null): Promise<Session[]> {
    const sessions = await requestSnapshots(lab.installation, lab.instances, {
      machines,
      tags: { why: 'upgrade' },
      copyTags: false,
      resourceGroup: null,
      expiresAt,
      reason: 'before the upgrade',
    });
    await lab.run();
    return Promise.all(sessions.map(({ id }) => lab.session(id)));
  }
  const owner = () => {
    const { objectId } = lab.simulator.addPrincipal({ name: 'owner' });
    lab.simulator.assignRole({
      principalId: objectId,
      role: 'Owner',
      scope: `/subscriptions/${SUBSCRIPTION}`,
    });
    return new ComputeManagementClient(lab.simulator.credential(objectId), SUBSCRIPTION, {
      endpoint: lab.simulator.url,
    });
  };
  const nameOf = (id = ''): string => id.split('/').at(-1) ?? '';

  it('manual ones of several machines are a session each, listed with what was said of them, and are never a base', async () => {
    const machines = [await lab.machine('manual1', 1), await lab.machine('manual2')];
    await ask(lab, machines[0] as Machine);
    const sessions = await take(machines);
    expect(sessions.map(({ kind, status, reason }) => [kind, status, reason])).toEqual([
      ['snapshot', 'succeeded', 'before the upgrade'],
      ['snapshot', 'succeeded', 'before the upgrade'],
    ]);
    const [shown] = (await setsOf(machines[0] as Machine)).filter((one) => one.shown.kind === 'manual');
    expect(shown?.shown).toMatchObject({
      machineName: 'manual1',
      flags: [],
      complete: true,
      base: false,
      goes: false,
      why: 'taken by hand, until removed by hand',
      sessionId: sessions[0]?.id,
      diskBytes: 96 * 2 ** 20,
    });
    expect(shown?.shown.snapshots).toHaveLength(2);
    const [info] = (await snapshotsOf(lab, machines[1] as Machine)) ?? [];
    expect(info?.tags).toMatchObject({ 'holdfast-manual': 'true', why: 'upgrade' });
    expect(info?.tags['holdfast-flags']).toBeUndefined();
    expect(await reasonsOf(lab, await ask(lab, machines[0] as Machine))).toEqual([
      'changedBlocks',
      'changedBlocks',
    ]);
    // Retention keeps one snapshot of the policy's and leaves the manual ones alone.
    await retain(400 * DAY);
    expect((await setsOf(machines[0] as Machine)).some(({ shown: one }) => one.kind === 'manual')).toBe(true);
  });

  it('a manual one goes after its expiry, not before, and one without stays', async () => {
    const machine = await lab.machine('expiring');
    await take([machine]);
    await take([machine], new Date(lab.clock.now().getTime() + 2 * DAY).toISOString());
    await retain(DAY);
    expect(await snapshotsOf(lab, machine)).toHaveLength(2);
    const session = await retain(2 * DAY + HOUR);
    expect(session.status).toBe('succeeded');
    const left = await snapshotsOf(lab, machine);
    expect(left.map(({ tags }) => tags['holdfast-expires'])).toEqual([undefined]);
    expect(
      lab.telemetry.events
        .filter(({ name }) => name === 'holdfast.snapshot.removed')
        .map(({ fields }) => fields),
    ).toContainEqual(expect.objectContaining({ reason: 'expired', snapshots: 1, machineId: machine.id }));
  });

  it('an expiry that is over already is refused', async () => {
    const machine = await lab.machine('late');
    await expect(take([machine], '2020-01-01T00:00:00.000Z')).rejects.toMatchObject({ code: 'invalidInput' });
    expect(await snapshotsOf(lab, machine)).toEqual([]);
  });

  it('a person removes sets by name: at once, with the base only by force, and the next backup reads whole', async () => {
    const machine = await lab.machine('byHand');
    await ask(lab, machine);
    await take([machine]);
    const [manual, base] = await setsOf(machine);
    if (!manual || !base) throw new Error('There should be two sets.');
    expect([manual.shown.base, base.shown.base]).toEqual([false, true]);
    await expect(refuseRemoval(lab.installation, base.set, false)).rejects.toMatchObject({
      code: 'conflict',
    });
    await refuseRemoval(lab.installation, manual.set, false);
    await refuseRemoval(lab.installation, base.set, true);
    const names = [manual.shown.name, base.shown.name];
    const session = await tend({ kind: 'snapshotRemoval', sets: names, subscriptionIds: [SUBSCRIPTION] });
    expect(session).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(await snapshotsOf(lab, machine)).toEqual([]);
    expect(await reasonsOf(lab, await ask(lab, machine))).toEqual(['baseMissing']);
  });

  it('a temporary one that is no base any more goes after a day; the base stays', async () => {
    const machine = await lab.machine('temporary');
    const none = { flags: [], backupFlags: ['daily' as const] };
    const last = await ask(lab, machine, {}, none);
    // No backup was read from this one; its own retention dies.
    lab.beforeActivity = retentionDies;
    await ask(lab, machine, {}, { makes: 'snapshot', flags: [] });
    expect((await setsOf(machine)).map(({ shown }) => [shown.kind, shown.base])).toEqual([
      ['temporary', false],
      ['temporary', true],
    ]);
    await retain(HOUR);
    expect(await snapshotsOf(lab, machine)).toHaveLength(2);
    await retain(DAY + HOUR);
    const left = await snapshotsOf(lab, machine);
    expect(left.map(({ tags }) => tags['holdfast-session'])).toEqual([last.id]);
    await retain(365 * DAY);
    expect(await snapshotsOf(lab, machine)).toHaveLength(1);
  });

  it('an incomplete set goes, unless it is the base of a disk', async () => {
    const machine = await lab.machine('incomplete', 1);
    for (let i = 0; i < 2; i++) await ask(lab, machine, {}, { makes: 'snapshot', flags: ['daily'] });
    const [, older] = await setsOf(machine);
    await owner().snapshots.delete(GROUP, nameOf(older?.shown.snapshots[0]?.id));
    const [newest, broken] = await setsOf(machine);
    expect([newest?.shown.complete, broken?.shown.complete]).toEqual([true, false]);
    await retain(HOUR);
    expect(await snapshotsOf(lab, machine)).toHaveLength(3);
    await retain(DAY + HOUR);
    expect((await setsOf(machine)).map(({ shown }) => shown.name)).toEqual([newest?.shown.name]);

    // Of a set that a restore point names, the other disk is still read incrementally.
    await ask(lab, machine);
    const [base] = await setsOf(machine);
    await owner().snapshots.delete(GROUP, nameOf(base?.shown.snapshots[0]?.id));
    await retain(2 * DAY);
    expect((await setsOf(machine)).map(({ shown }) => shown.name)).toContain(base?.shown.name);
    expect(await reasonsOf(lab, await ask(lab, machine))).toEqual(['baseMissing', 'changedBlocks']);
  });

  it('a locked one stays, is reported, fails nothing, and goes when the lock is off', async () => {
    const [held, free] = [await lab.machine('locked'), await lab.machine('unlocked')];
    await take([held, free], new Date(lab.clock.now().getTime() + HOUR).toISOString());
    const [snapshot] = await snapshotsOf(lab, held);
    lab.simulator.lockScope({ scope: snapshot?.id ?? '', level: 'CanNotDelete' });
    const session = await retain(DAY);
    expect(session).toMatchObject({ status: 'warning', error: null });
    expect(session.warnings).toEqual([
      expect.stringMatching(/of machine locked was to go \(expired: .*\) and stays for now: a lock on it/),
    ]);
    expect(await snapshotsOf(lab, free)).toEqual([]);
    expect(await snapshotsOf(lab, held)).toHaveLength(1);
    lab.simulator.unlockScope({ scope: snapshot?.id ?? '' });
    expect((await retain(2 * DAY)).status).toBe('succeeded');
    expect(await snapshotsOf(lab, held)).toEqual([]);
  });

  it('a session whose snapshots are locked ends all the same, and the sweep gives them back later', async () => {
    const machine = await lab.machine('lockedLeft');
    const scope = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Compute/snapshots`;
    let snapshot = '';
    lab.beforeActivity = async (name, input) => {
      if (name !== 'readChanges') return;
      const { sessionId } = input as { sessionId: string };
      snapshot = `${scope}/holdfast-${sessionId}-1-0`;
      lab.simulator.lockScope({ scope: snapshot, level: 'CanNotDelete' });
      await lab.installation.catalog.sessions.requestCancel(sessionId);
    };
    const session = await ask(lab, machine);
    expect(session.status).toBe('cancelled');
    expect(await snapshotsOf(lab, machine)).toHaveLength(1);
    lab.simulator.unlockScope({ scope: snapshot });
    const { sweep } = await import('../../../lib/sessions/index.ts');
    expect((await sweep(lab.installation, lab.instances)).left).toEqual([]);
    expect(await snapshotsOf(lab, machine)).toEqual([]);
  });

  it('those of a machine that is gone stay as long as they say, those that say nothing for thirty days', async () => {
    const machine = await lab.machine('gone');
    const days = { snapshots: { retention: { keep: { monthly: { days: 90 } } } } };
    await ask(lab, machine, days, { makes: 'snapshot', flags: ['monthly'] });
    await ask(lab, machine, {}, { flags: ['daily'] });
    const monthly = (await snapshotsOf(lab, machine))[0]?.id;
    const vm = owner();
    await vm.virtualMachines.deallocate(GROUP, 'gone');
    await vm.virtualMachines.delete(GROUP, 'gone');
    await retain(29 * DAY);
    expect(await snapshotsOf(lab, machine)).toHaveLength(2);
    const listed = await setsOf(machine);
    expect(listed.map(({ shown }) => [shown.kind, shown.machineName])).toEqual([
      ['orphan', 'gone'],
      ['orphan', 'gone'],
    ]);
    await retain(31 * DAY);
    expect((await snapshotsOf(lab, machine)).map(({ id }) => id)).toEqual([monthly]);
    await retain(89 * DAY);
    expect(await snapshotsOf(lab, machine)).toHaveLength(1);
    await retain(91 * DAY);
    expect(await snapshotsOf(lab, machine)).toEqual([]);
  });

  it('those of a policy that is gone are orphans, those of one that is there are left to it', async () => {
    const [kept, left] = [await lab.machine('kept'), await lab.machine('left')];
    for (const [id, machine] of [
      ['there', kept],
      ['removed', left],
    ] as const) {
      await lab.installation.catalog.policies.put(
        policySchema.parse({ id, scope: { machines: [machine.armId] } }),
      );
      await ask(lab, machine, {}, { makes: 'snapshot', flags: ['daily'], policyId: id });
    }
    await lab.installation.catalog.policies.remove('removed');
    const [one, other] = [await setsOf(kept), await setsOf(left)];
    expect([one[0]?.shown.kind, other[0]?.shown.kind]).toEqual(['policy', 'orphan']);
    // Though it is young: what the rules of the policy say.
    expect(one[0]?.shown.why).toBe('the newest, daily, number 1 of the newest 2');
    expect(other[0]?.shown.why).toBe('younger than a day');
    await retain(31 * DAY);
    expect(await snapshotsOf(lab, kept)).toHaveLength(1);
    expect(await snapshotsOf(lab, left)).toEqual([]);
    await lab.installation.catalog.policies.remove('there');
  });

  it("nobody else's are looked at, whatever they are called: without our tag, or with another installation's", async () => {
    const machine = await lab.machine('foreign');
    await take([machine], new Date(lab.clock.now().getTime() + HOUR).toISOString());
    const [ours] = await snapshotsOf(lab, machine);
    const client = owner();
    const [disk] = (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks;
    const { 'holdfast-owner': _, ...untagged } = ours?.tags ?? {};
    const others = {
      'holdfast-untagged-1-0': untagged,
      'holdfast-other-1-0': { ...ours?.tags, 'holdfast-owner': 'another' },
    };
    for (const [name, tags] of Object.entries(others))
      await client.snapshots.createOrUpdate(GROUP, name, {
        location: 'westeurope',
        incremental: true,
        creationData: { createOption: 'Copy', sourceResourceId: disk?.id ?? '' },
        tags,
      });
    await retain(400 * DAY);
    expect((await snapshotsOf(lab, machine)).map(({ name }) => name).sort()).toEqual(
      Object.keys(others).sort(),
    );
    expect(await setsOf(machine)).toEqual([]);
    for (const name of Object.keys(others)) await client.snapshots.delete(GROUP, name);
  });

  it('sealed by another key they stay, and are named', async () => {
    const machine = await lab.machine('otherKey');
    lab.beforeActivity = retentionDies;
    await ask(lab, machine, {}, { makes: 'snapshot', flags: [] });
    const [info] = await snapshotsOf(lab, machine);
    const tags = { ...info?.tags };
    tags['holdfast-m000'] =
      `${tags['holdfast-m000']?.startsWith('A') ? 'B' : 'A'}${tags['holdfast-m000']?.slice(1)}`;
    await owner().snapshots.update(GROUP, info?.name ?? '', { tags });
    const session = await retain(400 * DAY);
    expect(session.warnings).toEqual([
      expect.stringContaining('its tags were sealed by another key than ours'),
    ]);
    expect(await snapshotsOf(lab, machine)).toHaveLength(1);
    await owner().snapshots.delete(GROUP, info?.name ?? '');
  });

  it('with Table Storage lost, all sets are found by their tags, and the chains that they name are gone on with', async () => {
    const machine = await lab.machine('lost', 1);
    const first = await ask(lab, machine);
    await take([machine]);
    const before = (await setsOf(machine)).map(({ shown }) => shown);
    await forgetAll();
    const found = (await setsOf(machine)).map(({ shown }) => shown);
    expect(
      found.map(({ name, machineName, takenAt, snapshots }) => [name, machineName, takenAt, snapshots]),
    ).toEqual(
      before.map(({ name, machineName, takenAt, snapshots }) => [name, machineName, takenAt, snapshots]),
    );
    const [, backup] = await setsOf(machine);
    expect(backup?.set.metadata).toMatchObject({
      chain: first.restorePoint,
      configuration: { machine: { id: machine.id, name: 'lost' }, disks: [{ role: 'os' }, { role: 'data' }] },
    });
    // Nothing is removed while the catalog does not know the chain.
    await retain(2 * DAY);
    expect(await setsOf(machine)).toHaveLength(2);

    const session = await tend({ kind: 'snapshotRescan' });
    expect(session.error).toBeNull();
    expect(session.warnings.filter((text) => text.includes(machine.id))).toEqual([]);
    const { sets, chains } = await readState(lab.installation, session.id, 'snapshotRescan');
    expect(sets).toBe((await describeSets(lab.installation)).length);
    expect(chains).toBeGreaterThan(0);
    const next = await ask(lab, machine);
    expect(next.restorePoint).toMatchObject({ chainId: first.restorePoint?.chainId, sequence: 2 });
    expect(await reasonsOf(lab, next)).toEqual(['changedBlocks', 'changedBlocks']);
  });

  it('a rescan names bases that were deleted outside', async () => {
    const machine = await lab.machine('deletedBase');
    await ask(lab, machine);
    const [base] = await snapshotsOf(lab, machine);
    await owner().snapshots.delete(GROUP, base?.name ?? '');
    const session = await tend({ kind: 'snapshotRescan' });
    expect(session.status).toBe('warning');
    expect(session.warnings).toContainEqual(
      expect.stringContaining(`Snapshot ${base?.id}, the base of the next`),
    );
  });

  it('a family that is being read keeps its members until a later run', async () => {
    const machine = await lab.machine('beingRead');
    await lab.write(
      (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks[0]?.id ?? '',
      0,
      randomBytes(512),
    );
    await take([machine], new Date(lab.clock.now().getTime() + HOUR).toISOString());
    const [info] = await snapshotsOf(lab, machine);
    const { grants } = lab.installation.catalog;
    const grant = { familyId: info?.familyId ?? '', snapshotId: info?.id ?? '' };
    const until = new Date(lab.clock.now().getTime() + 400 * DAY).toISOString();
    const sessionId = '0123456789abcdefghjk';
    await grants.acquire(grant, { sessionId, purpose: 'source', until });
    const session = await retain(DAY);
    expect(session.warnings).toEqual([expect.stringContaining('a snapshot of the same disk is being read')]);
    await grants.release(grant, sessionId);
    await grants.ended(grant);
    await retain(DAY);
    expect(await snapshotsOf(lab, machine)).toEqual([]);
  });

  /** Loses every row of every table. */
  async function forgetAll(): Promise<void> {
    const names = [
      'Chains',
      'Points',
      'Installation',
      'Sessions',
      'SessionStates',
      'Policies',
      'Machines',
      'Repositories',
    ];
    for (const name of names) {
      const table = new TableClient(
        lab.azurite.tableUrl('holdfastapp'),
        `holdfast${name}`,
        lab.azurite.credential(),
      );
      try {
        for await (const { partitionKey = '', rowKey = '' } of table.listEntities())
          await table.deleteEntity(partitionKey, rowKey);
      } catch (error) {
        if ((error as { statusCode?: number }).statusCode !== 404) throw error;
      }
    }
  }
});
