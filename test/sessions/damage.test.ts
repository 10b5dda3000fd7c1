import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, restorePointName } from '../../lib/model/index.ts';
import { Lab } from './lab.ts';

describe('damage that a session meets', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start();
  });
  afterAll(() => lab.stop());

  const rowsOf = (machine: Machine) => lab.installation.catalog.points.listMachine(machine.id);
  const osDisk = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks[0]?.id ?? '';

  async function withTwoPoints(name: string) {
    const machine = await lab.machine(name);
    const disk = await osDisk(machine);
    const first = await lab.backUp(machine);
    const content = await lab.bytes(disk);
    await lab.write(disk, 40 * MiB, randomBytes(MiB));
    await lab.backUp(machine);
    const chainId = first.restorePoint?.chainId ?? '';
    const packs: string[] = [];
    for await (const { name: pack } of lab.data.list(`chains/${chainId}/packs/00000001`)) packs.push(pack);
    return { machine, disk, content, chainId, pack: packs[0] ?? '' };
  }

  async function spoil(name: string): Promise<void> {
    const { bytes, etag } = await lab.data.read(name);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await lab.data.replace(name, bytes, etag);
  }

  it('a restore that fails on a damaged pack marks the points that need it at once, and the next backup reads it again', async () => {
    const { machine, pack } = await withTwoPoints('met');
    await spoil(pack);
    const [{ point }] = (await rowsOf(machine)) as [Awaited<ReturnType<typeof rowsOf>>[number]];
    const restored = await lab.restore({ restorePoint: restorePointName(point) });
    expect(restored).toMatchObject({ status: 'failed', error: { code: 'jobPoisoned' } });
    expect(restored.warnings.join()).toContain(pack);
    const marked = await rowsOf(machine);
    expect(marked.map(({ damaged, stateCounter }) => [damaged, stateCounter])).toEqual([
      [true, 1],
      [true, 1],
    ]);
    // Tracking calls all of it unchanged: what is read is what was damaged.
    const next = await lab.backUp(machine);
    expect(next.disks[0]).toMatchObject({ readReason: 'changedBlocks' });
    expect(next.disks[0]?.storedBytes).toBeGreaterThan(0);
    const rows = await rowsOf(machine);
    expect(rows.map(({ damaged }) => damaged)).toEqual([true, true, false]);
    expect(await lab.restore({ restorePoint: restorePointName(rows[2]?.point ?? point) })).toMatchObject({
      status: 'succeeded',
    });
  });

  it('a state that was put back is told by its counter, and is not written over', async () => {
    const { machine, chainId, pack } = await withTwoPoints('putBack');
    const state = `chains/${chainId}/points/00000001.state`;
    await spoil(pack);
    await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60 });
    expect((await rowsOf(machine)).map(({ stateCounter }) => stateCounter)).toEqual([1, 1]);
    await lab.meta.remove(state);
    const check = await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60 });
    expect(check.warnings.join()).toContain('was rolled back from 1 to nothing');
    expect(await lab.meta.stat(state)).toBeNull();
    expect((await rowsOf(machine)).map(({ damaged }) => damaged)).toEqual([true, true]);
  });
});
