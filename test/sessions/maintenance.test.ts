import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, restorePointName, type Session } from '../../lib/model/index.ts';
import { sweep } from '../../lib/sessions/index.ts';
import { Lab } from './lab.ts';
import { Terminated } from './runOrchestrator.ts';

describe('work on the whole repository', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(() => lab.stop());

  const rowsOf = (machine: Machine) => lab.installation.catalog.points.listMachine(machine.id);
  const objects = async (prefix: string) => {
    const names: string[] = [];
    for await (const { name } of lab.data.list(prefix)) names.push(name);
    return names;
  };
  const osDisk = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks[0]?.id ?? '';

  it('a check finds a damaged pack, marks the points that need it, and the next backup heals them', async () => {
    const machine = await lab.machine('damaged');
    const disk = await osDisk(machine);
    const content = await lab.bytes(disk);
    const first = await lab.backUp(machine);
    await lab.write(disk, 40 * MiB, randomBytes(MiB));
    await lab.backUp(machine);
    expect(await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60 })).toMatchObject({
      status: 'succeeded',
    });

    const chainId = first.restorePoint?.chainId ?? '';
    const [pack = ''] = await objects(`chains/${chainId}/packs/00000001`);
    const { bytes, etag } = await lab.data.read(pack);
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1;
    await lab.data.replace(pack, bytes, etag);

    const check = await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60 });
    expect(check.status).toBe('warning');
    expect(check.warnings.join()).toContain(pack);
    expect((await rowsOf(machine)).map(({ damaged }) => damaged)).toEqual([true, true]);

    const next = await lab.backUp(machine);
    expect(next.disks[0]?.readReason).toBe('changedBlocks');
    await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60 });
    expect((await rowsOf(machine)).map(({ damaged }) => damaged)).toEqual([false, false, false]);
    // The oldest point, whose pack was damaged, restores byte for byte.
    const [{ point }] = (await rowsOf(machine)) as [Awaited<ReturnType<typeof rowsOf>>[number]];
    const restored = await lab.restore({ restorePoint: restorePointName(point) });
    const target = disk.replace(/disks\/[^/]+$/, `disks/${restored.disks[0]?.name}`);
    expect(restored.status).toBe('succeeded');
    expect((await lab.bytes(target)).equals(content)).toBe(true);
    await lab.check();
  });

  it('collection removes what a run that came to nothing has stored, and nothing that a point needs', async () => {
    const machine = await lab.machine('collected');
    const disk = await osDisk(machine);
    const { restorePoint } = await lab.backUp(machine);
    const kept = await objects(`chains/${restorePoint?.chainId}/`);
    await lab.write(disk, 20 * MiB, randomBytes(2 * MiB));
    lab.beforeActivity = (name) => {
      if (name === 'commitRestorePoint') throw new Terminated(name);
    };
    await lab.backUp(machine);
    lab.beforeActivity = () => undefined;
    await sweep(lab.installation, lab.instances);
    expect((await objects(`chains/${restorePoint?.chainId}/`)).length).toBeGreaterThan(kept.length);
    expect(await lab.maintain({ kind: 'collection' })).toMatchObject({ status: 'succeeded', warnings: [] });
    expect(await objects(`chains/${restorePoint?.chainId}/`)).toEqual(kept);
    await lab.check();
  });

  it('a rescan makes the catalog again, and the next backup goes on with the chain', async () => {
    const machine = await lab.machine('rescanned');
    await lab.backUp(machine);
    await lab.write(await osDisk(machine), 10 * MiB, randomBytes(4096));
    await lab.backUp(machine);
    const before = await rowsOf(machine);
    const fresh = await lab.forgetCatalog();
    expect(await fresh.installation.catalog.points.machines()).toEqual([]);
    expect(await lab.maintain({ kind: 'rescan', accept: [] })).toMatchObject({
      status: 'succeeded',
      warnings: [],
    });
    expect(await rowsOf(machine)).toEqual(before);
    const next: Session = await lab.backUp(machine);
    expect(next).toMatchObject({ status: 'succeeded', restorePoint: { sequence: 3 } });
    expect(next.disks[0]?.readReason).toBe('changedBlocks');
    await lab.check();
  });

  it('a chain whose metadata is damaged is given up with an alert: the next backup but one begins a new chain', async () => {
    const machine = await lab.machine('restarted');
    const first = await lab.backUp(machine);
    const trees: string[] = [];
    for await (const { name } of lab.meta.list(`chains/${first.restorePoint?.chainId}/maps/`))
      trees.push(name);
    const [tree = ''] = trees;
    const { bytes, etag } = await lab.meta.read(tree);
    await lab.meta.replace(tree, bytes.subarray(0, bytes.length - 5), etag);
    expect(await lab.backUp(machine)).toMatchObject({ status: 'failed', error: { code: 'corruptObject' } });
    const second = await lab.backUp(machine);
    expect(second.status).toBe('warning');
    expect(second.restorePoint?.chainId).not.toBe(first.restorePoint?.chainId);
    expect(second.disks[0]?.readReason).toBe('first');
    expect(lab.telemetry.events.filter(({ name }) => name === 'holdfast.chain.restarted')).toHaveLength(1);
    expect((await lab.backUp(machine)).disks[0]?.readReason).toBe('changedBlocks');
  });
});
