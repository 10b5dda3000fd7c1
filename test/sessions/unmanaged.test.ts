import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, restorePointName, type Session } from '../../lib/model/index.ts';
import { needMachine, sweep } from '../../lib/sessions/index.ts';
import { listSets } from '../../lib/sessions/snapshots/sets.ts';
import { DELETES_SNAPSHOTS_ONLY } from '../../local/azure/roleConditions.ts';
import { GROUP, Lab, SUBSCRIPTION } from './lab.ts';
import { Terminated } from './runOrchestrator.ts';

const ACCOUNT = 'vhdstore';
const BLOCK = 262144;

describe('backups of machines with unmanaged disks', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
    const { id: scope } = lab.simulator.addStorageAccount({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: ACCOUNT,
    });
    const app = lab.simulator.roles.list().find(({ role }) => role === 'Holdfast Worker');
    lab.simulator.assignRole({
      principalId: app?.principalId ?? '',
      role: 'Holdfast Unmanaged Disks',
      scope,
      condition: DELETES_SNAPSHOTS_ONLY,
    });
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  /** A VM whose OS disk of 64 MiB and data disks of 32 MiB are page blobs, with some content. */
  async function machineOf(
    name: string,
    dataDisks = 0,
    sizeBytes = 64 * MiB,
  ): Promise<{ machine: Machine; disks: string[] }> {
    const unmanaged = { account: ACCOUNT };
    await lab.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name,
      location: 'westeurope',
      osDisk: { sizeBytes, unmanaged },
      dataDisks: Array.from({ length: dataDisks }, () => ({ sizeBytes: 32 * MiB, unmanaged })),
    });
    const machine = await needMachine(lab.installation, name);
    const disks = (await configurationOf(machine)).disks.map(({ id }) => id);
    for (const id of disks) await lab.write(id, MiB, randomBytes(3 * MiB));
    return { machine, disks };
  }
  const configurationOf = ({ armId }: Machine) => lab.installation.azure.machines.readConfiguration(armId);
  const pointOf = async ({ restorePoint, error }: Session) => {
    if (!restorePoint) throw new Error(`The session made no restore point: ${error?.code} ${error?.message}`);
    const row = await lab.installation.catalog.points.get(restorePoint.chainId, restorePoint.sequence);
    if (!row) throw new Error('The catalog lacks the restore point.');
    return row.point;
  };
  /** Restores a point to managed disks and compares every byte with what the disks held. */
  async function restores(session: Session, contents: readonly Buffer[]): Promise<void> {
    const restored = await lab.restore({ restorePoint: restorePointName(await pointOf(session)) });
    expect(restored).toMatchObject({ status: 'succeeded', error: null });
    for (const { number, name } of restored.disks) {
      const id = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Compute/disks/${name}`;
      expect((await lab.bytes(id)).equals(contents[number] ?? Buffer.alloc(0))).toBe(true);
    }
  }
  const contentsOf = (disks: readonly string[]) => Promise.all(disks.map((id) => lab.bytes(id)));
  const ours = (diskId: string) => lab.simulator.pageBlobSnapshots({ diskId });

  it('makes a full, then an incremental restore point, and restores both to managed disks byte for byte', async () => {
    const { machine, disks } = await machineOf('old', 1);
    const [os = '', data = ''] = disks;
    const before = await contentsOf(disks);
    const first = await lab.backUp(machine);
    expect(first).toMatchObject({ status: 'succeeded', error: null, restorePoint: { sequence: 1 } });
    const full = await pointOf(first);
    expect(full).toMatchObject({ kind: 'full', consistency: 'perDisk' });
    expect(
      full.disks.map(({ readReason, readBytes, sizeBytes }) => [readReason, readBytes, sizeBytes]),
    ).toEqual([
      ['first', 3 * MiB, 64 * MiB],
      ['first', 3 * MiB, 32 * MiB],
    ]);

    await lab.write(os, 10 * MiB + 4096, randomBytes(8192));
    await lab.simulator.clearDisk({ diskId: data, offset: MiB, length: MiB });
    const after = await contentsOf(disks);
    const second = await lab.backUp(machine);
    const incremental = await pointOf(second);
    expect(incremental).toMatchObject({ kind: 'incremental', sequence: 2 });
    expect(incremental.disks.map(({ readReason }) => readReason)).toEqual(['changedBlocks', 'changedBlocks']);
    expect(incremental.disks[0]?.readBytes).toBeLessThanOrEqual(11 * BLOCK);
    expect(incremental.disks[1]?.allocatedBytes).toBe(2 * MiB);
    await restores(first, before);
    await restores(second, after);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    expect(await lab.installation.catalog.grants.list()).toEqual([]);
  });

  it("keeps the base and what retention keeps, and never touches the disk or somebody else's snapshot", async () => {
    const { machine, disks } = await machineOf('kept');
    const [os = ''] = disks;
    const { PageBlobClient } = await import('@azure/storage-blob');
    const owner = lab.simulator.addPrincipal({ name: 'storage owner' }).objectId;
    lab.simulator.assignRole({
      principalId: owner,
      role: 'Storage Blob Data Contributor',
      scope: `/subscriptions/${SUBSCRIPTION}`,
    });
    const { snapshot: foreign } = await new PageBlobClient(
      os,
      lab.simulator.credential(owner),
    ).createSnapshot();
    const sessions: Session[] = [];
    for (let run = 0; run < 4; run++) {
      await lab.write(os, (20 + run) * MiB, randomBytes(4096));
      sessions.push(await lab.backUp(machine, 14, 1));
    }
    const last = await pointOf(sessions[3] as Session);
    expect(last.disks[0]?.readReason).toBe('changedBlocks');
    const names = ours(os).map(
      ({ time, metadata }) => metadata['holdfast_name'] ?? (time === foreign ? 'foreign' : '?'),
    );
    expect(names).toEqual(['foreign', last.disks[0]?.snapshotId.split('#')[1]]);
    await restores(sessions[3] as Session, await contentsOf(disks));
  });

  it('reads the disk whole, and says why, when the base is gone', async () => {
    const { machine, disks } = await machineOf('baseless');
    const first = await pointOf(await lab.backUp(machine));
    await lab.installation.azure.snapshots.startRemove(first.disks[0]?.snapshotId ?? '');
    const session = await lab.backUp(machine);
    expect((await pointOf(session)).disks.map(({ readReason }) => readReason)).toEqual(['baseMissing']);
    await restores(session, await contentsOf(disks));
  });

  it('reads the disk whole when its blob was overwritten: as another disk, or by the word of the service', async () => {
    const { machine, disks } = await machineOf('replaced');
    const [os = ''] = disks;
    await lab.backUp(machine);
    await lab.simulator.replacePageBlob({ diskId: os, keepCreationTime: true });
    await lab.write(os, 5 * MiB, randomBytes(MiB));
    const kept = await lab.backUp(machine);
    expect((await pointOf(kept)).disks.map(({ number, readReason }) => [number, readReason])).toEqual([
      [0, 'diffFailed:BlobOverwritten'],
    ]);
    await restores(kept, await contentsOf(disks));

    lab.clock.advance(5000);
    await lab.simulator.replacePageBlob({ diskId: os, keepCreationTime: false });
    await lab.write(os, 7 * MiB, randomBytes(MiB));
    const anew = await lab.backUp(machine);
    const point = await pointOf(anew);
    expect(point.disks.map(({ number, readReason }) => [number, readReason])).toEqual([[1, 'first']]);
    await restores(anew, [Buffer.alloc(0), ...(await contentsOf(disks))]);
  });

  it('keeps the chain of a disk that grew: the old footer becomes data, the new one is cut off', async () => {
    const { machine, disks } = await machineOf('growing');
    const [os = ''] = disks;
    await lab.backUp(machine);
    await lab.simulator.growPageBlob({ diskId: os, sizeBytes: 96 * MiB });
    await lab.write(os, 80 * MiB, randomBytes(MiB));
    const session = await lab.backUp(machine);
    const point = await pointOf(session);
    expect(point.disks.map(({ readReason, sizeBytes }) => [readReason, sizeBytes])).toEqual([
      ['changedBlocks', 96 * MiB],
    ]);
    await restores(session, await contentsOf(disks));
  });

  it('restores a disk of an odd size to a managed disk of whole MiB, with zeros behind', async () => {
    const { machine, disks } = await machineOf('uneven', 0, 64 * MiB + 1536);
    const [os = ''] = disks;
    await lab.write(os, 64 * MiB, randomBytes(1536));
    const session = await lab.backUp(machine);
    expect((await pointOf(session)).disks.map(({ sizeBytes }) => sizeBytes)).toEqual([64 * MiB + 1536]);
    await restores(session, [Buffer.concat([await lab.bytes(os), Buffer.alloc(MiB - 1536)])]);
  });

  it('finds its snapshots when the machine is gone, by what the chain was last made of', async () => {
    const { machine, disks } = await machineOf('gone');
    const { id: sessionId } = await lab.backUp(machine);
    const { ComputeManagementClient } = await import('@azure/arm-compute');
    const owner = lab.simulator.addPrincipal({ name: 'owner' }).objectId;
    lab.simulator.assignRole({ principalId: owner, role: 'Owner', scope: `/subscriptions/${SUBSCRIPTION}` });
    const client = new ComputeManagementClient(lab.simulator.credential(owner), SUBSCRIPTION, {
      endpoint: lab.simulator.url,
    });
    await client.virtualMachines.delete(GROUP, 'gone');
    const sets = await listSets(lab.installation, { machineId: machine.id });
    expect(sets.map((set) => [set.sessionId, set.missingDisks, set.members.length])).toEqual([
      [sessionId, [], 1],
    ]);
    expect(ours(disks[0] ?? '')).toHaveLength(1);
  });

  it('a step that runs twice takes one snapshot, and a session that fails leaves none', async () => {
    const { machine, disks } = await machineOf('twice');
    const [os = ''] = disks;
    lab.beforeActivity = async (name, input) => {
      if (name !== 'watchSnapshots') return;
      lab.beforeActivity = () => undefined;
      const { sessionId, set } = input as { sessionId: string; set: number };
      await lab.activity('snapshotDisk', { sessionId, set, disk: 0 });
      expect(ours(os)).toHaveLength(1);
      throw new Terminated();
    };
    expect((await lab.backUp(machine)).status).toBe('running');
    await sweep(lab.installation, lab.instances);
    expect(ours(os)).toEqual([]);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    const next = await lab.backUp(machine);
    expect(next.status).toBe('succeeded');
    await restores(next, await contentsOf(disks));
  });
});
