import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Installation } from '../../lib/installation/index.ts';
import { type Machine, MiB, policySchema, restorePointName } from '../../lib/model/index.ts';
import { listDamage, readOverview, requestRemoval, tellCoverage } from '../../lib/sessions/index.ts';
import { Lab } from './lab.ts';

const HOUR_MS = 3_600_000;

describe('what the installation says of itself', () => {
  let lab: Lab;
  let covered: Machine;
  let stray: Machine;
  /** Later, as far as the coverage is concerned; how often it has read the points of a machine. */
  let later = 0;
  let reads = 0;
  let watched: Installation;
  beforeAll(async () => {
    lab = await Lab.start();
    covered = await lab.machine('covered');
    stray = await lab.machine('stray');
    const { catalog } = lab.installation;
    await catalog.policies.put(
      policySchema.parse({
        id: 'nightly',
        scope: { machines: [covered.armId] },
        calendar: { timeZone: 'UTC', schedules: [{ every: 'interval', minutes: 60, makes: 'backup' }] },
      }),
    );
    const points = new Proxy(catalog.points, {
      get(target, name) {
        if (name === 'listMachine') reads++;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    watched = {
      ...lab.installation,
      catalog: { ...catalog, points },
      clock: {
        now: () => new Date(lab.clock.now().getTime() + later),
        sleep: (ms, signal) => lab.clock.sleep(ms, signal),
      },
    };
  });
  afterAll(async () => {
    await lab.stop();
  });

  const told = () => lab.telemetry.of('holdfast.machine.coverage');
  const counted = () => lab.telemetry.of('holdfast.coverage.counted');
  const of = (machine: Machine) => told().filter(({ machineId }) => machineId === machine.id);

  it('tells the coverage of each machine when it changes, and every hour; in between it reads nothing of machines without news', async () => {
    await tellCoverage(watched);
    expect(of(covered).map(({ state, policyId }) => [state, policyId])).toEqual([['waiting', 'nightly']]);
    expect(of(stray).map(({ state, policyId }) => [state, policyId])).toEqual([['none', null]]);
    expect(counted()).toEqual([{ protected: 0, late: 0, waiting: 1, none: 1 }]);

    await lab.backUp(covered);
    reads = 0;
    await tellCoverage(watched);
    expect(reads).toBe(1);
    expect(of(covered).at(-1)).toMatchObject({ state: 'protected', before: 'waiting', missedSlot: null });
    expect(of(covered).at(-1)?.rpoSeconds).toBeGreaterThanOrEqual(0);
    expect(counted().at(-1)).toEqual({ protected: 1, late: 0, waiting: 0, none: 1 });

    const before = told().length;
    for (let tick = 0; tick < 5; tick++) await tellCoverage(watched);
    expect([told().length, counted().length, reads]).toEqual([before, 2, 1]);

    later = HOUR_MS - 60_000;
    await tellCoverage(watched);
    later = HOUR_MS + 60_000;
    await tellCoverage(watched);
    expect(of(stray)).toHaveLength(2);
    const ages = lab.telemetry.metrics.filter(({ name }) => name === 'holdfast.rpo.age');
    expect(ages.length).toBeGreaterThanOrEqual(2);
  });

  it('a machine whose slots pass without a point is late, with the slot that it missed', async () => {
    later = 30 * HOUR_MS;
    await tellCoverage(watched);
    const last = of(covered).at(-1);
    expect(last).toMatchObject({ state: 'late', before: 'protected' });
    expect(last?.rpoSeconds).toBeGreaterThan(29 * 3600);
    expect(last?.missedSlot).toMatch(/:00:00\.000Z$/);
    const overview = await readOverview(watched);
    expect(overview.attention.map(({ machineName, state }) => [machineName, state])).toEqual([
      ['covered', 'late'],
      ['stray', 'none'],
    ]);
    later = 0;
  });

  it('shows coverage, the sessions of a day, what the repositories hold and what comes next', async () => {
    const overview = await readOverview(lab.installation);
    expect(overview.coverage).toEqual({ protected: 1, late: 0, waiting: 0, none: 1 });
    expect(overview.sessions).toMatchObject({
      running: 0,
      byKind: { backup: { succeeded: 1 } },
      failed: [],
      truncated: false,
    });
    const [row] = await lab.installation.catalog.points.listMachine(covered.id);
    expect(overview.repositories).toEqual([
      {
        repository: 'default',
        machines: 1,
        chains: 1,
        restorePoints: 1,
        damaged: 0,
        storedBytes: row?.point.disks[0]?.storedBytes,
        protectedBytes: row?.point.disks[0]?.allocatedBytes,
      },
    ]);
    expect(overview.upcoming).toHaveLength(10);
    const now = lab.clock.now().getTime();
    const hours = overview.upcoming.map(({ at }) => Math.ceil((Date.parse(at) - now) / HOUR_MS));
    expect(hours).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(overview.upcoming[0]).toMatchObject({ policyId: 'nightly', makes: 'backup', flags: ['daily'] });
  });

  it('a restore point that somebody deleted in the container is found missing by the check, shown, and can be taken off the list', async () => {
    const { chainId = '' } = (await lab.backUp(stray)).restorePoint ?? {};
    const disk = (await lab.installation.azure.machines.readConfiguration(stray.armId)).disks[0]?.id ?? '';
    await lab.write(disk, 40 * MiB, randomBytes(MiB));
    await lab.backUp(stray);
    await lab.backUp(stray);
    await lab.meta.remove(`chains/${chainId}/points/00000002.manifest`);
    const check = await lab.maintain({ kind: 'check', depth: 'structure', budgetSeconds: 60 });
    expect(check.warnings.join()).toContain(`Restore point ${chainId}/2`);
    expect(await listDamage(lab.installation, stray.id)).toEqual([
      {
        name: `${chainId}/2`,
        machineId: stray.id,
        machineName: 'stray',
        takenAt: expect.any(String),
        kind: 'missing',
        affects: [],
        disks: [],
        what: expect.stringContaining('every other restore point reaches its blocks by itself'),
      },
    ]);
    // What is left restores.
    for (const sequence of [1, 3]) {
      const restored = await lab.restore({ restorePoint: `${chainId}/${sequence}` });
      expect(restored.status).toBe('succeeded');
    }
    const asked = { machineId: stray.id, points: [`${chainId}/2`], snapshots: 'none' } as const;
    const session = await requestRemoval(lab.installation, lab.instances, asked, 'test');
    await lab.run();
    expect((await lab.session(session.id)).status).toBe('succeeded');
    expect(await listDamage(lab.installation)).toEqual([]);
    const rows = await lab.installation.catalog.points.listMachine(stray.id);
    expect(rows.map(({ point }) => restorePointName(point))).toEqual([`${chainId}/1`, `${chainId}/3`]);
  });

  it('a damaged pack is shown at every restore point that reaches it, each with the others', async () => {
    const [row] = await lab.installation.catalog.points.listMachine(stray.id);
    const chainId = row?.point.chainId ?? '';
    const packs: string[] = [];
    for await (const { name } of lab.data.list(`chains/${chainId}/packs/00000001`)) packs.push(name);
    const [pack = ''] = packs;
    const { bytes, etag } = await lab.data.read(pack);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await lab.data.replace(pack, bytes, etag);
    await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60 });
    const damage = await listDamage(lab.installation, stray.id);
    expect(damage.map(({ name, kind, affects }) => [name, kind, affects])).toEqual([
      [`${chainId}/1`, 'data', [`${chainId}/3`]],
      [`${chainId}/3`, 'data', [`${chainId}/1`]],
    ]);
    expect(damage[0]?.disks).toEqual([{ disk: 0, name: expect.any(String), blocks: expect.any(Number) }]);
    expect(damage[0]?.what).toContain(pack);
    expect((await readOverview({ ...watched })).coverage.protected).toBeGreaterThanOrEqual(0);
  });
});
