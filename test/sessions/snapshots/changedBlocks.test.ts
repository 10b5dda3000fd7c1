import { randomBytes } from 'node:crypto';
import { ComputeManagementClient } from '@azure/arm-compute';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../../lib/model/index.ts';
import { needMachine } from '../../../lib/sessions/index.ts';
import { tryDeleteSnapshot } from '../../../lib/sessions/snapshots/delete.ts';
import { GROUP, Lab, SUBSCRIPTION } from '../lab.ts';
import { ask, diskIds, pointOf, reasonsOf, restored, snapshotsOf } from './support.ts';

const DAY = 24 * 3600_000;
/** Sessions that nobody runs. */
const [SESSION, OTHER] = ['0123456789abcdefghjm', '0123456789abcdefghjk'] as const;

describe('changed block tracking', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  function owner(): ComputeManagementClient {
    const { objectId } = lab.simulator.addPrincipal({ name: 'owner' });
    lab.simulator.assignRole({
      principalId: objectId,
      role: 'Owner',
      scope: `/subscriptions/${SUBSCRIPTION}`,
    });
    return new ComputeManagementClient(lab.simulator.credential(objectId), SUBSCRIPTION, {
      endpoint: lab.simulator.url,
    });
  }

  it('off: every backup reads whole, is stored as an incremental, and leaves no snapshot when its session ends', async () => {
    const machine = await lab.machine('off', 1);
    const protection = { changedBlocks: { enabled: false } };
    const first = await ask(lab, machine, protection, { flags: [], backupFlags: ['daily'] });
    expect(await snapshotsOf(lab, machine)).toEqual([]);
    const [os = ''] = await diskIds(lab, machine);
    await lab.write(os, 20 * MiB, randomBytes(4096));
    const content = await lab.bytes(os);
    const second = await ask(lab, machine, protection, { flags: [], backupFlags: ['daily'] });
    expect([first.status, second.status, second.warnings]).toEqual(['succeeded', 'succeeded', []]);
    expect(await reasonsOf(lab, second)).toEqual(['cbtOff', 'cbtOff']);
    const point = await pointOf(lab, second);
    expect(point.kind).toBe('incremental');
    // All allocated blocks were read, and only the new one was stored.
    expect(point.disks[0]?.readBytes).toBeGreaterThanOrEqual(3 * MiB);
    expect(point.disks[0]?.storedBytes).toBeLessThan(512 * 1024);
    expect(await snapshotsOf(lab, machine)).toEqual([]);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    expect((await restored(lab, second)).get(0)?.equals(content)).toBe(true);
  });

  it('off: snapshots that a schedule keeps stay, and are no base', async () => {
    const machine = await lab.machine('offKept');
    const session = await ask(lab, machine, { changedBlocks: { enabled: false } }, { flags: ['daily'] });
    const kept = await snapshotsOf(lab, machine);
    expect(kept.map(({ tags }) => tags['holdfast-session'])).toEqual([session.id]);
    const bases = await lab.installation.catalog.chains.protectedSnapshots();
    expect(bases.has(kept[0]?.id.toLowerCase() ?? '')).toBe(false);
  });

  it('reset: each machine is read whole once, whatever was asked for before', async () => {
    const machine = await lab.machine('reset');
    await ask(lab, machine);
    lab.clock.advance(60_000);
    const resetAt = lab.clock.now().toISOString();
    lab.clock.advance(60_000);
    const protection = { changedBlocks: { resetAt } };
    expect(await reasonsOf(lab, await ask(lab, machine, protection))).toEqual(['reset']);
    expect(await reasonsOf(lab, await ask(lab, machine, protection))).toEqual(['changedBlocks']);
    expect(await reasonsOf(lab, await ask(lab, machine, protection))).toEqual(['changedBlocks']);
    // On demand it is once by itself.
    expect(await reasonsOf(lab, await ask(lab, machine, protection, { reset: true }))).toEqual(['reset']);
  });

  it('whole reads by the calendar: when the last one is further back than the policy allows', async () => {
    const machine = await lab.machine('scheduled');
    const protection = { changedBlocks: { wholeReadEveryDays: 3 } };
    const after = async (ms: number): Promise<string[]> => {
      // Only the decision is made at the other time: storage lives in the system's.
      lab.beforeActivity = (name) => {
        if (name === 'readChanges') lab.clock.advance(ms);
        if (name === 'uploadShard' && ms > 0) {
          lab.clock.advance(-ms);
          lab.beforeActivity = () => undefined;
        }
      };
      return reasonsOf(lab, await ask(lab, machine, protection));
    };
    expect(await after(0)).toEqual(['first']);
    expect(await after(2 * DAY)).toEqual(['changedBlocks']);
    expect(await after(3 * DAY)).toEqual(['scheduled']);
    // That one was at the system's time, so it counts from there.
    expect(await after(2 * DAY)).toEqual(['changedBlocks']);
  });

  it('a base that was deleted outside: the disk is read whole with a warning, the point is incremental, the next is normal', async () => {
    const machine = await lab.machine('baseGone');
    const first = await ask(lab, machine);
    const [os = ''] = await diskIds(lab, machine);
    await lab.write(os, 30 * MiB, randomBytes(4096));
    await owner().snapshots.delete(
      GROUP,
      ((await pointOf(lab, first)).disks[0]?.snapshotId ?? '').split('/').at(-1) ?? '',
    );
    const second = await ask(lab, machine);
    expect(second).toMatchObject({ status: 'warning', error: null });
    expect(second.warnings).toEqual([
      'Disk baseGone_OsDisk is read whole, not only what changed: the snapshot of the last restore point is gone.',
    ]);
    const point = await pointOf(lab, second);
    expect(point).toMatchObject({ kind: 'incremental', disks: [{ readReason: 'baseMissing' }] });
    expect(point.disks[0]?.storedBytes).toBeLessThan(512 * 1024);
    const third = await ask(lab, machine);
    expect([third.status, await reasonsOf(lab, third)]).toEqual(['succeeded', ['changedBlocks']]);
  });

  it('snapshots are independent: whichever is deleted, the others show their own time', async () => {
    const machine = await lab.machine('independent');
    const [os = ''] = await diskIds(lab, machine);
    const contents = new Map<string, Buffer>();
    for (let i = 0; i < 4; i++) {
      await lab.write(os, (10 + i) * MiB, randomBytes(4096));
      const session = await ask(lab, machine, {}, { makes: 'snapshot', flags: [], manual: true });
      const [own] = (await snapshotsOf(lab, machine)).filter(
        ({ tags }) => tags['holdfast-session'] === session.id,
      );
      contents.set(own?.id ?? '', await lab.bytes(os));
    }
    const ids = [...contents.keys()];
    const { azure, catalog } = lab.installation;
    const remove = (id = '') => tryDeleteSnapshot(lab.installation, SESSION, id);
    for (const victim of [ids[1], ids[0], ids[3]]) {
      expect(await remove(victim)).toEqual({ gone: true });
      contents.delete(victim ?? '');
      expect((await snapshotsOf(lab, machine)).map(({ id }) => id).sort()).toEqual(
        [...contents.keys()].sort(),
      );
      for (const [id, content] of contents) expect((await lab.bytes(id)).equals(content)).toBe(true);
    }
    expect(contents.size).toBe(1);
    // Nor does a deletion disturb a reader of another one.
    const [id = ''] = contents.keys();
    const { familyId } = (await azure.snapshots.find(id)) ?? {};
    const grant = { familyId: familyId ?? '', snapshotId: id };
    await ask(lab, machine, {}, { makes: 'snapshot', flags: [], manual: true });
    const [, newer] = await snapshotsOf(lab, machine);
    const until = new Date(lab.clock.now().getTime() + 3600_000).toISOString();
    await catalog.grants.acquire(grant, { sessionId: OTHER, purpose: 'source', until });
    expect(await remove(newer?.id)).toMatchObject({ gone: false });
    await catalog.grants.release(grant, OTHER);
    await catalog.grants.ended(grant);
    expect(await remove(newer?.id)).toEqual({ gone: true });
    expect((await snapshotsOf(lab, machine)).map((left) => left.id)).toEqual([id]);
  });

  it('a disk that was resized across 4 TB is read whole once, then incrementally again', async () => {
    const machine = await lab.machine('grown');
    const [os = ''] = await diskIds(lab, machine);
    await ask(lab, machine);
    await lab.grow(os, 5 * 1024);
    const content = randomBytes(MiB);
    await lab.write(os, 3 * 1024 ** 4, content);
    const across = await ask(lab, machine);
    expect(await reasonsOf(lab, across)).toEqual(['resizedAcross4TB']);
    expect(across.warnings).toEqual([expect.stringContaining('it was resized across 4 TB')]);
    expect((await pointOf(lab, across)).kind).toBe('incremental');
    await lab.write(os, 4096, randomBytes(512));
    const after = await ask(lab, machine);
    expect(await reasonsOf(lab, after)).toEqual(['changedBlocks']);
    expect((await pointOf(lab, after)).disks[0]?.allocatedBytes).toBeGreaterThanOrEqual(4 * MiB);
  }, 60_000);

  it('a disk that was put in place of another is a new disk of the machine: read for the first time, the rest as ever', async () => {
    const machine = await lab.machine('swapped', 1);
    const before = await ask(lab, machine);
    const client = owner();
    const { id: replacement } = await lab.simulator.addDisk({
      subscription: SUBSCRIPTION,
      group: GROUP,
      location: 'westeurope',
      name: 'replacement',
      sizeBytes: 32 * MiB,
    });
    await lab.write(replacement, MiB, randomBytes(MiB));
    const vm = await client.virtualMachines.get(GROUP, 'swapped');
    await client.virtualMachines.createOrUpdate(GROUP, 'swapped', {
      ...vm,
      storageProfile: {
        ...vm.storageProfile,
        dataDisks: [{ lun: 0, createOption: 'Attach', managedDisk: { id: replacement } }],
      },
    });
    const session = await ask(lab, machine);
    const point = await pointOf(lab, session);
    const old = await pointOf(lab, before);
    expect(point.disks.map(({ number, readReason }) => [number, readReason])).toEqual([
      [0, 'changedBlocks'],
      [2, 'first'],
    ]);
    expect(point.disks[1]?.uniqueId).not.toBe(old.disks[1]?.uniqueId);
    const bytes = await restored(lab, session);
    expect(bytes.get(2)?.equals(await lab.bytes(replacement))).toBe(true);
  });

  it('five snapshots of a family with a SAS: the sixth reader waits, and reads when one is given back', async () => {
    const machine = await lab.machine('readers');
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) {
      const session = await ask(lab, machine, {}, { makes: 'snapshot', flags: [], manual: true });
      const [own] = (await snapshotsOf(lab, machine)).filter(
        ({ tags }) => tags['holdfast-session'] === session.id,
      );
      ids.push(own?.id ?? '');
    }
    const { azure, catalog } = lab.installation;
    const familyId = (await azure.snapshots.find(ids[0] ?? ''))?.familyId ?? '';
    const until = new Date(lab.clock.now().getTime() + 3600_000).toISOString();
    const others = ids.slice(0, 5).map((snapshotId) => ({ familyId, snapshotId }));
    const holder = { sessionId: '0123456789abcdefghjk', purpose: 'source', until };
    for (const grant of others) {
      expect(await catalog.grants.acquire(grant, holder)).toEqual({ wait: false });
      await azure.snapshots.grantRead(grant.snapshotId, 3600);
    }
    let waits = 0;
    lab.beforeActivity = async (name) => {
      if (name !== 'uploadShard') return;
      waits++;
      // More often than an attempt may fail.
      if (waits !== 8) return;
      for (const grant of others) {
        await catalog.grants.release(grant, holder.sessionId);
        await azure.snapshots.endRead(grant.snapshotId);
        await catalog.grants.ended(grant);
      }
    };
    const session = await ask(lab, machine);
    lab.beforeActivity = () => undefined;
    expect(waits).toBeGreaterThan(8);
    expect(session).toMatchObject({ status: 'succeeded', error: null });
    expect(lab.simulator.activeGrants()).toEqual([]);
  });

  it('snapshots that Azure copies in the background are read when their copy is complete, not before', async () => {
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'fast',
      location: 'westeurope',
      osDisk: { sizeBytes: 32 * MiB },
      dataDisks: [{ sizeBytes: 32 * MiB, sku: 'PremiumV2_LRS' }],
    });
    const machine = await needMachine(lab.installation, 'fast');
    const [, data = ''] = await diskIds(lab, machine);
    await lab.write(data, MiB, randomBytes(MiB));
    const copyMs = 10 * 60_000;
    lab.simulator.settings.operations.backgroundCopyMs = copyMs;
    let looks = 0;
    lab.beforeActivity = async (name) => {
      if (name === 'watchSnapshots') looks++;
      if (name !== 'readChanges') return;
      // Nobody asked for access while the copy went on, which Azure refuses.
      const [pending] = (await snapshotsOf(lab, machine)).filter(({ sku }) => sku !== null);
      const waited = lab.clock.now().getTime() - Date.parse(pending?.timeCreated ?? '');
      expect(waited).toBeGreaterThanOrEqual(copyMs);
    };
    const session = await ask(lab, machine);
    lab.beforeActivity = () => undefined;
    lab.simulator.settings.operations.backgroundCopyMs = 0;
    expect(looks).toBeGreaterThan(3);
    expect(session).toMatchObject({ status: 'succeeded', error: null });
    expect((await restored(lab, session)).get(1)?.equals(await lab.bytes(data))).toBe(true);
  });
});
