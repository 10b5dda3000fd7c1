import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, restorePointName, type Session } from '../../lib/model/index.ts';
import { openChain } from '../../lib/repository/index.ts';
import { requestRemoval } from '../../lib/sessions/index.ts';
import { removeRestorePoint } from '../../lib/sessions/removal/point.ts';
import { Lab } from './lab.ts';

const DAY = 86_400_000;
const DAYS = 5;

describe('an immutable repository', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.start({ HOLDFAST_IMMUTABILITY_DAYS: String(DAYS) }, { immutable: true });
  });
  afterAll(() => lab.stop());

  const rowsOf = (machine: Machine) => lab.installation.catalog.points.listMachine(machine.id);
  const osDisk = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks[0]?.id ?? '';
  const events = (name: string) => lab.telemetry.events.filter((event) => event.name === name);
  /** Objects of a chain that are there in any version. */
  const kept = async (chainId: string) => {
    const { containers } = lab.worm ?? { containers: new Map() };
    const records = ['holdfastrepo/holdfast-meta', 'holdfastrepo/holdfast-data'].flatMap(
      (key) => containers.get(key)?.list(`chains/${chainId}/`, true) ?? [],
    );
    return new Map<string, number>(records.map(({ name, bytes }) => [name, bytes.length]));
  };
  async function restoresAs(session: Session, content: Buffer): Promise<void> {
    const restored = await lab.restore({ restorePoint: restorePointName(session.restorePoint as never) });
    expect(restored).toMatchObject({ status: 'succeeded', error: null });
    const row = await lab.installation.catalog.points.get(
      session.restorePoint?.chainId ?? '',
      session.restorePoint?.sequence ?? 0,
    );
    const { snapshotId = '' } = row?.point.disks[0] ?? {};
    const target = snapshotId.replace(/snapshots\/[^/]+$/, `disks/${restored.disks[0]?.name}`);
    expect((await lab.bytes(target)).equals(content)).toBe(true);
  }

  it('locks each point as a whole; retention is refused with the date until it has passed, and then collection frees the space', async () => {
    const machine = await lab.machine('locked');
    const disk = await osDisk(machine);
    const sessions: Session[] = [];
    const contents: Buffer[] = [];
    for (let run = 0; run < 3; run++) {
      await lab.write(disk, 20 * MiB, randomBytes(6 * MiB));
      sessions.push(await lab.backUp(machine, 1, 1));
      expect(sessions.at(-1)).toMatchObject({ status: 'succeeded', error: null, warnings: [] });
      contents.push(await lab.bytes(disk));
    }
    const chainId = sessions[0]?.restorePoint?.chainId ?? '';
    // Founded today: the generation ends in ten days, and each point stays five more.
    const rows = await rowsOf(machine);
    expect(rows.map(({ point }) => point.sequence)).toEqual([1, 2, 3]);
    const [until = '', ...others] = rows.map(({ immutableUntil }) => immutableUntil ?? '');
    expect(others).toEqual([until, until]);
    const days = (Date.parse(until) - lab.clock.now().getTime()) / DAY;
    expect(days).toBeGreaterThan(10 + DAYS - 1);
    expect(days).toBeLessThanOrEqual(10 + DAYS);

    const { sessions: ended } = await lab.installation.catalog.sessions.list({ kind: 'retention' });
    expect(ended[0]).toMatchObject({
      status: 'succeeded',
      notes: [
        expect.stringContaining(`2 restore points that no rule keeps are immutable, the last until ${until}`),
      ],
    });
    // The service itself may not remove it either, and says until when.
    const repository = await lab.installation.repository();
    const chain = await openChain(repository, chainId);
    const asked = {
      sequence: 1,
      machineId: machine.id,
      sessionId: null,
      reason: 'request' as const,
      why: null,
    };
    expect(await removeRestorePoint(lab.installation, repository, chain, asked)).toEqual({
      removed: false,
      immutableUntil: new Date(until),
    });
    expect(events('holdfast.restorePoint.removalRefused')).toEqual([
      expect.objectContaining({ fields: expect.objectContaining({ sequence: 1, immutableUntil: until }) }),
    ]);
    const removal = { machineId: machine.id, points: [`${chainId}/1`], snapshots: 'none' as const };
    await expect(requestRemoval(lab.installation, lab.instances, removal, 'test')).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(until),
    });
    await restoresAs(sessions[0] as Session, contents[0] as Buffer);

    // The generation turns: what the next point shares with the older ones is locked longer, and they are not.
    lab.clock.advance(11 * DAY);
    await lab.write(disk, 40 * MiB, randomBytes(MiB));
    sessions.push(await lab.backUp(machine, 1, 1));
    contents.push(await lab.bytes(disk));
    const next = (await rowsOf(machine)).map(({ immutableUntil }) => immutableUntil);
    expect(next.slice(0, 3)).toEqual([until, until, until]);
    expect(Date.parse(next[3] ?? '') - Date.parse(until)).toBe(10 * DAY);

    // The dates of the first three have passed; what the fourth needs of theirs stays locked.
    lab.clock.advance(5 * DAY);
    await lab.backUp(machine, 1, 1);
    expect((await rowsOf(machine)).map(({ point }) => point.sequence)).toEqual([4, 5]);
    expect(events('holdfast.restorePoint.removed')).toHaveLength(3);
    // A removed point is a root for a day.
    lab.clock.advance(2 * DAY);
    const before = await kept(chainId);
    const collection = await lab.maintain({ kind: 'collection' });
    expect(collection).toMatchObject({ status: 'succeeded', warnings: [] });
    const after = await kept(chainId);
    const gone = [...before.keys()].filter((name) => !after.has(name) && name.endsWith('.pack'));
    expect(gone.length).toBeGreaterThan(0);
    // Of the first point's pack the fourth needs the smaller half still: locked, so not compacted yet.
    const compacted = (objects: ReadonlyMap<string, number>) =>
      [...objects.keys()].filter((name) => name.includes('.g1.')).length;
    expect(compacted(after)).toBe(0);
    await restoresAs(sessions[3] as Session, contents[3] as Buffer);
    lab.clock.advance(10 * DAY);
    await lab.maintain({ kind: 'collection' });
    expect(compacted(await kept(chainId))).toBe(1);
    await restoresAs(sessions[3] as Session, contents[3] as Buffer);
    await lab.check();
  });

  it('garbage that is locked is reported with its date, is no failure, and goes later', async () => {
    const machine = await lab.machine('left');
    const first = await lab.backUp(machine);
    const { chainId = '' } = first.restorePoint ?? {};
    // A pack that no map knows, and that was locked all the same.
    const store = lab.worm?.containers.get('holdfastrepo/holdfast-data');
    const [pack = ''] = [...(await kept(chainId)).keys()].filter((name) => name.endsWith('.pack'));
    const stray = pack.replace(/(\d+)\.pack$/, (_, n: string) => `${'9'.repeat(n.length)}.pack`);
    const until = new Date(lab.clock.now().getTime() + 3 * DAY);
    until.setMilliseconds(0);
    store?.put(stray, Buffer.from('garbage'), {}, { until, mode: 'locked' });
    expect(await lab.maintain({ kind: 'collection' })).toMatchObject({ status: 'succeeded', warnings: [] });
    expect((await kept(chainId)).has(stray)).toBe(true);
    expect(events('holdfast.collection.locked').map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ chainId, objects: 1, bytes: 7, immutableUntil: until.toISOString() }),
    );
    lab.clock.advance(4 * DAY);
    await lab.maintain({ kind: 'collection' });
    expect((await kept(chainId)).has(stray)).toBe(false);
    await lab.check();
  });

  it('a rescan finds the dates again', async () => {
    const machine = await lab.machine('rescanned');
    await lab.backUp(machine);
    const before = await rowsOf(machine);
    expect(before.map(({ immutableUntil }) => immutableUntil)).toEqual([expect.any(String)]);
    await lab.forgetCatalog();
    expect(await lab.maintain({ kind: 'rescan', accept: [] })).toMatchObject({ status: 'succeeded' });
    expect(await rowsOf(machine)).toEqual(before);
    await lab.backUp(machine);
    await lab.check();
  });

  it('what is renewed and replaced leaves no versions behind', () => {
    for (const key of ['holdfastrepo/holdfast-meta', 'holdfastrepo/holdfast-data']) {
      const records = lab.worm?.containers.get(key)?.list('', true) ?? [];
      expect(records.length).toBeGreaterThan(0);
      const versions = new Map<string, number>();
      for (const { name } of records) versions.set(name, (versions.get(name) ?? 0) + 1);
      expect([...versions].filter(([, count]) => count > 1)).toEqual([]);
      expect(records.filter(({ name }) => name.startsWith('leases/'))).toEqual([]);
    }
  });
});

describe('a setting that does not fit the containers', () => {
  it('is refused where locks would not hold', async () => {
    const lab = await Lab.start({ HOLDFAST_IMMUTABILITY_DAYS: '5' });
    try {
      await expect(lab.installation.repository()).rejects.toMatchObject({
        code: 'notConfigured',
        message: expect.stringContaining('does not have version-level immutability'),
      });
    } finally {
      await lab.stop();
    }
  });

  it('is refused where every removed version would be kept though nobody asked for it', async () => {
    const lab = await Lab.start({}, { immutable: true });
    try {
      await expect(lab.installation.repository()).rejects.toMatchObject({
        code: 'notConfigured',
        message: expect.stringContaining('HOLDFAST_IMMUTABILITY_DAYS'),
      });
    } finally {
      await lab.stop();
    }
  });
});
