import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Machine,
  MiB,
  protectionSchema,
  restorePointName,
  type Session,
} from '../../lib/model/index.ts';
import { needMachine, requestBackup, sweep } from '../../lib/sessions/index.ts';
import { GROUP, Lab, SUBSCRIPTION } from './lab.ts';
import { Terminated } from './runOrchestrator.ts';

describe('one moment for all disks, by a restore point of the machine', () => {
  let lab: Lab;
  let made = 0;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  interface Asked {
    readonly dataDisks?: number;
    readonly osType?: 'Linux' | 'Windows';
    readonly size?: string;
    readonly sku?: string;
  }
  async function machineOf({ dataDisks = 1, osType = 'Linux', size = 'Standard_D2s_v5', sku }: Asked = {}) {
    const name = `moment-${++made}`;
    const disk = { sizeBytes: 32 * MiB, ...(sku === undefined ? {} : { sku }) };
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name,
      location: 'westeurope',
      size,
      osDisk: { sizeBytes: 64 * MiB, osType },
      dataDisks: Array.from({ length: dataDisks }, () => disk),
    });
    const machine = await needMachine(lab.installation, name);
    for (const id of await diskIds(machine)) await lab.write(id, MiB, randomBytes(MiB));
    return machine;
  }
  const diskIds = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks.map(({ id }) => id);
  const ask = (machine: Machine, mode: 'crash' | 'machine' | 'application') =>
    requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover: 'inline', consistency: { mode } }),
      reason: 'test',
      policyId: null,
      parentId: null,
    });
  async function backUp(machine: Machine, mode: 'crash' | 'machine' | 'application' = 'machine') {
    const { id } = await ask(machine, mode);
    await lab.run();
    const session = await lab.session(id);
    expect(session.error).toBeNull();
    return session;
  }
  const pointOf = async ({ restorePoint }: Session) => {
    const { chainId, sequence } = restorePoint ?? { chainId: '', sequence: 0 };
    return (await lab.installation.catalog.points.get(chainId, sequence))?.point;
  };
  const puts = (machine: Machine, session: Session, what: string) =>
    lab.simulator
      .requests({ method: 'PUT', path: `/${what}/holdfast-${session.id}` })
      .filter(({ status }) => status < 300 && machine.name !== '').length;
  const collections = () =>
    lab.simulator.requests({ path: '/restorePointCollections/' }).filter(({ method }) => method === 'DELETE');
  async function restored(session: Session): Promise<Buffer[]> {
    const point = session.restorePoint ?? { chainId: '', sequence: 0 };
    const { disks, status } = await lab.restore({ restorePoint: restorePointName(point) });
    expect(status).toBe('succeeded');
    const group = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Compute/disks`;
    return Promise.all(disks.map(({ name }) => lab.bytes(`${group}/${name}`)));
  }

  it('is read by SAS, restores byte for byte, is labelled atomic, and is gone afterwards', async () => {
    const machine = await machineOf({ dataDisks: 2 });
    const ids = await diskIds(machine);
    const before = await Promise.all(ids.map((id) => lab.bytes(id)));
    const session = await backUp(machine);
    expect(session).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(session.notes.join()).toContain('restore point of the machine, and are read whole');
    const point = await pointOf(session);
    expect(point).toMatchObject({ consistency: 'atomic', kind: 'full' });
    expect(point?.disks.every(({ snapshotId }) => snapshotId.includes('/diskRestorePoints/'))).toBe(true);
    expect((await restored(session)).every((bytes, i) => bytes.equals(before[i] ?? Buffer.alloc(0)))).toBe(
      true,
    );
    expect([puts(machine, session, 'snapshots'), collections().at(-1)?.status]).toEqual([0, 202]);
    expect(lab.simulator.activeGrants()).toEqual([]);
    expect(await lab.installation.catalog.intents.list(session.id)).toEqual([]);

    // The next one reads everything, and stores what changed.
    lab.simulator.settings.limits.restorePointMinutes = 0;
    await lab.write(ids[1] ?? '', 4 * MiB, randomBytes(4096));
    const next = await backUp(machine);
    lab.simulator.settings.limits.restorePointMinutes = 60;
    expect((await pointOf(next))?.disks.map(({ readReason }) => readReason)).toEqual([
      'cbtOff',
      'cbtOff',
      'cbtOff',
    ]);
    expect((await pointOf(next))?.disks.map(({ storedBytes }) => storedBytes > 4096)).toEqual([
      false,
      true,
      false,
    ]);
    expect(next.warnings).toEqual([]);
  });

  it('all disks show the same moment while a workload writes to them in turn', async () => {
    const machine = await machineOf();
    const ids = await diskIds(machine);
    let writes = 0;
    let on = true;
    const workload = (async () => {
      for (; on; writes++) {
        const data = Buffer.alloc(512);
        data.writeUInt32LE(writes);
        for (const id of ids) await lab.write(id, 0, data);
      }
    })();
    const session = await backUp(machine);
    on = false;
    await workload;
    const [os, data] = (await restored(session)).map((bytes) => bytes.readUInt32LE(0));
    expect(writes).toBeGreaterThan(10);
    // The first disk is written first: it is at the same write, or one ahead.
    expect([0, 1]).toContain((os ?? 0) - (data ?? 0));
  });

  it('that Azure refuses falls back to snapshots, with a warning and an honest label', async () => {
    const machine = await machineOf();
    await backUp(machine);
    // A second one within the hour.
    const again = await backUp(machine);
    expect(again.status).toBe('warning');
    expect(again.warnings).toEqual([
      expect.stringMatching(
        /^The disks may show different moments: Azure took no restore point of the machine: .*less than 60 minutes ago/,
      ),
    ]);
    expect(await pointOf(again)).toMatchObject({ consistency: 'perDisk' });
    expect(puts(machine, again, 'snapshots')).toBe(2);

    const small = await backUp(await machineOf({ size: 'Standard_D2_v3' }));
    expect(small.warnings.join()).toContain('has no premium storage');
    expect(small.restorePoint).not.toBeNull();
  });

  it('an operation that fails later falls back as well', async () => {
    const machine = await machineOf();
    const id = lab.simulator.faults.inject({
      match: { method: 'PUT', path: '/restorePoints/' },
      effect: { kind: 'operation', status: 'Failed', code: 'RestorePointFailed', message: 'no room' },
      times: 1,
    });
    const session = await backUp(machine);
    expect(lab.simulator.faults.unfired().map((fault) => fault.id)).not.toContain(id);
    expect(session.warnings.join()).toContain('no room');
    expect(await pointOf(session)).toMatchObject({ consistency: 'perDisk' });
    expect(await lab.installation.catalog.intents.list(session.id)).toEqual([]);
  });

  it('asks the guest when the policy wants that, and falls back step by step', async () => {
    const machine = await machineOf({ osType: 'Windows' });
    const asked = await backUp(machine, 'application');
    expect(asked).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(await pointOf(asked)).toMatchObject({ consistency: 'application' });
    // Within three hours no second one: then at least one moment for all disks.
    const soon = await backUp(machine, 'application');
    expect(soon.warnings).toEqual([
      expect.stringMatching(/^The guest was not asked: .*less than 180 minutes ago/),
    ]);
    expect(await pointOf(soon)).toMatchObject({ consistency: 'atomic' });

    const silent = await machineOf({ osType: 'Windows' });
    lab.simulator.setGuestAgent({ machineId: silent.armId, present: false });
    const unheard = await backUp(silent, 'application');
    expect(unheard.warnings).toEqual([expect.stringContaining('has not reported status')]);
    expect(await pointOf(unheard)).toMatchObject({ consistency: 'atomic' });
  });

  it('is not taken where it changes nothing, nor where Azure cannot', async () => {
    const single = await machineOf({ dataDisks: 0 });
    await backUp(single);
    const next = await backUp(single);
    expect(next).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(await pointOf(next)).toMatchObject({ consistency: 'atomic' });
    expect(next.disks[0]?.readReason).toBe('changedBlocks');

    const ultra = await backUp(await machineOf({ sku: 'PremiumV2_LRS' }));
    expect(ultra.warnings.join()).toContain('of type PremiumV2_LRS');
    expect(await pointOf(ultra)).toMatchObject({ consistency: 'perDisk' });
  });

  it('does not call several NVMe data disks one moment, as Azure does not', async () => {
    const session = await backUp(await machineOf({ size: 'Standard_D4s_v6', dataDisks: 2 }));
    expect(session.warnings.join()).toContain(
      'Azure does not promise one moment for 2 data disks of size Standard_D4s_v6',
    );
    expect(await pointOf(session)).toMatchObject({ consistency: 'perDisk' });
  });

  it('of a session that dies is removed by the sweep', async () => {
    const machine = await machineOf();
    const { id } = await ask(machine, 'machine');
    lab.beforeActivity = (name) => {
      if (name === 'dispatchShards') throw new Terminated(name);
    };
    await lab.run();
    lab.beforeActivity = () => undefined;
    const open = await lab.installation.catalog.intents.list(id, 'restorePoint');
    expect(open).toHaveLength(1);
    await sweep(lab.installation, lab.instances);
    await sweep(lab.installation, lab.instances);
    expect(await lab.installation.azure.restorePoints.exists(open[0]?.key ?? '')).toBe(false);
    expect(await lab.installation.catalog.intents.list(id)).toEqual([]);
  });
});
