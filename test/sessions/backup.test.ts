import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, restorePointName, type Session } from '../../lib/model/index.ts';
import { commitBackup } from '../../lib/sessions/index.ts';
import { Lab } from './lab.ts';

const BLOCK = 262144;

describe('backups of a machine, by the app itself', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  const diskIds = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks.map(({ id }) => id);
  const pointOf = async ({ restorePoint }: Session) => {
    const { chainId, sequence } = restorePoint ?? { chainId: '', sequence: 0 };
    const row = await lab.installation.catalog.points.get(chainId, sequence);
    if (!row) throw new Error('The session made no restore point.');
    return row.point;
  };
  /** The bytes of each disk of a point, restored to new disks, by disk number. */
  async function restore(session: Session): Promise<Map<number, Buffer>> {
    const point = await pointOf(session);
    const restored = await lab.restore({ restorePoint: restorePointName(point) });
    expect(restored).toMatchObject({ status: 'succeeded', error: null });
    const bytes = new Map<number, Buffer>();
    for (const { number, name } of restored.disks) {
      const { snapshotId = '' } = point.disks.find((disk) => disk.number === number) ?? {};
      bytes.set(number, await lab.bytes(snapshotId.replace(/snapshots\/[^/]+$/, `disks/${name}`)));
    }
    return bytes;
  }
  /** Restores a point and compares every byte with the snapshots that it was made from. */
  async function restoresIdentically(session: Session): Promise<void> {
    const restored = await restore(session);
    for (const { number, snapshotId } of (await pointOf(session)).disks) {
      expect(restored.get(number)?.equals(await lab.bytes(snapshotId))).toBe(true);
    }
  }

  it('makes a full, then an incremental restore point that reads what changed and the samples, and restores both byte for byte', async () => {
    const machine = await lab.machine('web', 1);
    const first = await lab.backUp(machine);
    expect(first).toMatchObject({ status: 'succeeded', error: null, restorePoint: { sequence: 1 } });
    const full = await pointOf(first);
    expect(full).toMatchObject({ kind: 'full', consistency: 'perDisk' });
    expect(full.disks.map(({ readReason, readBytes }) => [readReason, readBytes])).toEqual([
      ['first', 3 * MiB],
      ['first', 3 * MiB],
    ]);

    const [os = '', data = ''] = await diskIds(machine);
    await lab.write(os, 10 * MiB + 4096, randomBytes(8192));
    await lab.simulator.clearDisk({ diskId: data, offset: MiB, length: MiB });
    const second = await lab.backUp(machine);
    const incremental = await pointOf(second);
    expect(incremental).toMatchObject({ kind: 'incremental', sequence: 2 });
    expect(incremental.disks.map(({ readReason }) => readReason)).toEqual(['changedBlocks', 'changedBlocks']);
    // One changed block and ten samples; no changed block, and samples.
    expect(incremental.disks[0]?.readBytes).toBeLessThanOrEqual(11 * BLOCK);
    expect(incremental.disks[1]?.readBytes).toBeLessThanOrEqual(10 * BLOCK);
    expect(incremental.disks[1]?.allocatedBytes).toBe(2 * MiB);

    await restoresIdentically(first);
    await restoresIdentically(second);
  });

  it('leaves no SAS, no open intent, no held chain and no worker behind', async () => {
    expect(lab.simulator.activeGrants()).toEqual([]);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    expect((await lab.installation.catalog.chains.list()).filter(({ holder }) => holder !== null)).toEqual(
      [],
    );
    expect(await lab.installation.catalog.grants.list()).toEqual([]);
  });

  it('keeps the newest points and snapshots and never removes the base of the next incremental', async () => {
    const machine = await lab.machine('kept');
    const [os = ''] = await diskIds(machine);
    const sessions: Session[] = [];
    const contents: Buffer[] = [];
    for (let run = 0; run < 4; run++) {
      await lab.write(os, (20 + run) * MiB, randomBytes(4096));
      sessions.push(await lab.backUp(machine, 2, 1));
      contents.push(await lab.bytes(os));
    }
    const rows = await lab.installation.catalog.points.listMachine(machine.id);
    expect(rows.map(({ point }) => point.sequence)).toEqual([3, 4]);
    const last = await pointOf(sessions[3] as Session);
    expect(last.disks[0]?.readReason).toBe('changedBlocks');
    const left: string[] = [];
    const scope = { subscriptionId: machine.subscriptionId, resourceGroup: machine.resourceGroup };
    for await (const { id, tags } of lab.installation.azure.snapshots.list(scope)) {
      if (tags['holdfast-machine'] === machine.id) left.push(id);
    }
    expect(left).toEqual([last.disks[0]?.snapshotId]);
    // A point whose snapshots are gone restores all the same.
    expect((await restore(sessions[2] as Session)).get(0)?.equals(contents[2] as Buffer)).toBe(true);
  });

  it('reads the whole disk, and says why, when the base snapshot is gone', async () => {
    const machine = await lab.machine('baseless');
    const first = await pointOf(await lab.backUp(machine));
    await lab.installation.azure.snapshots.startRemove(first.disks[0]?.snapshotId ?? '');
    const session = await lab.backUp(machine);
    const point = await pointOf(session);
    expect(point).toMatchObject({ kind: 'incremental', sequence: 2 });
    expect(point.disks[0]?.readReason).toBe('baseMissing');
    // Equal blocks are recognised: nothing is stored twice.
    expect(point.disks[0]?.storedBytes).toBeLessThan(64 * 1024);
    await restoresIdentically(session);
  });

  it('keeps the chain of a disk that grew, and reads a disk that was attached since for the first time', async () => {
    const machine = await lab.machine('growing');
    await lab.backUp(machine);
    const [os = ''] = await diskIds(machine);
    const { sizeBytes } = lab.simulator.describeDisk({ diskId: os });
    await lab.grow(os, 2);
    await lab.write(os, sizeBytes + MiB, randomBytes(MiB));
    const session = await lab.backUp(machine);
    const point = await pointOf(session);
    expect(point.disks.map(({ readReason }) => readReason)).toEqual(['changedBlocks']);
    expect(point.disks[0]?.sizeBytes).toBeGreaterThan(sizeBytes);
    await restoresIdentically(session);
  });

  it('is skipped, with the reason, when another session holds the chain or the machine is gone', async () => {
    const machine = await lab.machine('busy');
    const holder = await lab.request(machine);
    await lab.activity('openSession', { sessionId: holder.id });
    const second = await lab.request(machine);
    expect(await lab.activity('openSession', { sessionId: second.id })).toMatchObject({
      ok: false,
      failure: { code: 'previousRunning', target: holder.id },
    });
    await lab.run();
    expect(await lab.session(holder.id)).toMatchObject({ status: 'succeeded' });

    const gone = await lab.request({ ...machine, armId: `${machine.armId}-gone` });
    await lab.run();
    expect(await lab.session(gone.id)).toMatchObject({ status: 'skipped', error: { code: 'machineGone' } });
  });

  it('commits nothing when a block does not read back as it is in the snapshot', async () => {
    const machine = await lab.machine('mismatched');
    const { restorePoint } = await lab.backUp(machine);
    const [os = ''] = await diskIds(machine);
    await lab.write(os, MiB, randomBytes(3 * MiB));
    let outcome: unknown;
    lab.beforeActivity = async (name, input) => {
      if (name !== 'commitRestorePoint') return;
      lab.beforeActivity = () => undefined;
      // The snapshot as an access to its predecessor shows it: other bytes than were stored.
      const { snapshots } = lab.installation.azure;
      const before = (await pointOf({ restorePoint } as Session)).disks[0]?.snapshotId ?? '';
      const grantRead: typeof snapshots.grantRead = (_, seconds) => snapshots.grantRead(before, seconds);
      const fooled = {
        ...lab.installation,
        azure: { ...lab.installation.azure, snapshots: { ...snapshots, grantRead } },
      };
      outcome = await commitBackup(fooled, (input as { sessionId: string }).sessionId).catch(
        (error: unknown) => error,
      );
      await snapshots.endRead(before);
    };
    const session = await lab.backUp(machine);
    expect(outcome).toMatchObject({ code: 'corruptObject' });
    // Told the truth, the same step commits.
    expect(session.status).toBe('succeeded');
    await restoresIdentically(session);
  });
});
