import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AzureBlobStore } from '../../lib/azure/index.ts';
import {
  type Machine,
  MiB,
  policySchema,
  protectionSchema,
  type RepositoryPlace,
  repositoryPlaceSchema,
  restorePointName,
  type Session,
} from '../../lib/model/index.ts';
import { checkRepository, openChain } from '../../lib/repository/index.ts';
import {
  attachRepository,
  type BackupRequest,
  detachRepository,
  listRepositories,
  requestBackup,
  sweep,
} from '../../lib/sessions/index.ts';
import { destinationOf } from '../../lib/sessions/policyRun/storage.ts';
import { removeRestorePoint } from '../../lib/sessions/removal/point.ts';
import { Lab } from './lab.ts';

describe('several repositories', () => {
  let lab: Lab;
  let place: RepositoryPlace;
  beforeAll(async () => {
    lab = await Lab.start();
    place = await placeOf('second');
    await attachRepository(lab.installation, place);
  });
  afterAll(() => lab.stop());

  /** A place with containers of its own, which are empty. */
  async function placeOf(name: string): Promise<RepositoryPlace> {
    const made = repositoryPlaceSchema.parse({
      id: name,
      blobEndpoint: lab.azurite.blobUrl('holdfastapp'),
      metaContainer: `${name}-meta`,
      dataContainer: `${name}-data`,
    });
    for (const container of [made.metaContainer, made.dataContainer])
      await storeOf(`${made.blobEndpoint}/${container}`).ensureContainer();
    return made;
  }
  const storeOf = (url: string) => AzureBlobStore.withCredential(url, lab.azurite.credential());
  const objectsOf = async (store: AzureBlobStore) => {
    const names: string[] = [];
    for await (const { name } of store.list('')) names.push(name);
    return names;
  };
  const rowsOf = (machine: Machine) => lab.installation.catalog.points.listMachine(machine.id);
  const osDisk = async (machine: Machine) =>
    (await lab.installation.azure.machines.readConfiguration(machine.armId)).disks[0]?.id ?? '';
  async function backUp(
    machine: Machine,
    asked: Partial<BackupRequest> & { changedBlocks?: boolean } = {},
  ): Promise<Session> {
    const { changedBlocks = true, ...rest } = asked;
    const session = await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover: 'inline', changedBlocks: { enabled: changedBlocks } }),
      reason: 'test',
      policyId: null,
      parentId: null,
      ...rest,
    });
    await lab.run();
    return lab.session(session.id);
  }
  const copiesOf = async ({ id, machineId }: Session) => {
    const { sessions } = await lab.installation.catalog.sessions.list({ machineId: machineId ?? '' });
    return sessions.filter(({ parentId, kind }) => parentId === id && kind === 'backup');
  };
  async function restores(session: Session, content: Buffer): Promise<void> {
    if (!session.restorePoint) throw new Error('The session made no restore point.');
    const { chainId, sequence } = session.restorePoint;
    const row = await lab.installation.catalog.points.get(chainId, sequence);
    const restored = await lab.restore({ restorePoint: restorePointName(session.restorePoint) });
    expect(restored).toMatchObject({ status: 'succeeded', error: null });
    const { snapshotId = '' } = row?.point.disks[0] ?? {};
    const target = snapshotId.replace(/snapshots\/[^/]+$/, `disks/${restored.disks[0]?.name}`);
    expect((await lab.bytes(target)).equals(content)).toBe(true);
  }
  async function isSound(id: string): Promise<void> {
    const { meta, data } = await lab.installation.repository(id);
    const { unlock } = await lab.installation.repositoryAccess(id);
    const report = await checkRepository({ meta, data, unlock, depth: 'content' });
    expect(report.findings).toEqual([]);
  }

  it('a copy shows the same moment from the same snapshots, is incremental in its own chain, and restores when the first repository is gone', async () => {
    const machine = await lab.machine('copied', 1);
    const disk = await osDisk(machine);
    const copies: Session[] = [];
    const contents: Buffer[] = [];
    for (let run = 0; run < 2; run++) {
      await lab.write(disk, (20 + run) * MiB, randomBytes(MiB));
      const session = await backUp(machine, { copies: ['second'] });
      expect(session).toMatchObject({ status: 'succeeded', error: null });
      const [copy, ...more] = await copiesOf(session);
      expect(more).toEqual([]);
      expect(copy).toMatchObject({ status: 'succeeded', error: null });
      copies.push(copy as Session);
      contents.push(await lab.bytes(disk));
    }
    const rows = await rowsOf(machine);
    const first = await lab.installation.repository();
    const second = await lab.installation.repository('second');
    expect(second.id).not.toBe(first.id);
    const inFirst = rows.filter(({ repositoryId }) => repositoryId === first.id);
    const inSecond = rows.filter(({ repositoryId }) => repositoryId === second.id);
    expect([inFirst.length, inSecond.length]).toEqual([2, 2]);
    for (const [i, { point }] of inFirst.entries()) {
      const copy = inSecond[i]?.point;
      expect(copy?.takenAt).toBe(point.takenAt);
      expect(copy?.chainId).not.toBe(point.chainId);
      expect(copy?.disks.map(({ snapshotId }) => snapshotId)).toEqual(
        point.disks.map(({ snapshotId }) => snapshotId),
      );
    }
    const reasons = inSecond.map(({ point }) => point.disks.map(({ readReason }) => readReason));
    expect(reasons).toEqual([
      ['first', 'first'],
      ['changedBlocks', 'changedBlocks'],
    ]);
    await isSound('default');
    await isSound('second');

    for (const store of [lab.meta, lab.data])
      for (const name of await objectsOf(store)) await store.remove(name);
    lab.installation.reopenRepository();
    await expect(lab.installation.repository()).rejects.toMatchObject({ code: 'missingObject' });
    for (const [i, copy] of copies.entries()) await restores(copy, contents[i] ?? Buffer.alloc(0));
    await isSound('second');
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    expect(lab.simulator.activeGrants()).toEqual([]);
    // From here on a repository is founded anew.
    await lab.installation.catalog.installation.forgetRepository();
    await lab.installation.catalog.points.forgetRepository(first.id);
    await lab.installation.catalog.chains.forgetRepository(first.id);
  });

  it('snapshots that nobody keeps live until the copy is done, and no longer', async () => {
    const machine = await lab.machine('passing');
    const ours = async () => {
      const found: string[] = [];
      const scope = { subscriptionId: machine.subscriptionId, resourceGroup: machine.resourceGroup };
      for await (const { id, tags } of lab.installation.azure.snapshots.list(scope))
        if (tags['holdfast-machine'] === machine.id) found.push(id);
      return found;
    };
    let whileCopying = 0;
    let copying = 0;
    lab.beforeActivity = async (name) => {
      if (name === 'readChanges' && ++copying === 2) {
        await sweep(lab.installation, lab.instances);
        whileCopying = (await ours()).length;
      }
    };
    const session = await backUp(machine, {
      copies: ['second'],
      changedBlocks: false,
      flags: [],
      backupFlags: ['daily'],
    });
    lab.beforeActivity = () => undefined;
    expect(await copiesOf(session)).toMatchObject([{ status: 'succeeded' }]);
    expect(whileCopying).toBe(1);
    await sweep(lab.installation, lab.instances);
    expect(await ours()).toEqual([]);
    await isSound('second');
  });

  it('another repository begins another chain; the old one gives its snapshots free with its last point', async () => {
    const machine = await lab.machine('moved');
    await backUp(machine);
    const moved = await backUp(machine, { repository: 'second' });
    expect(moved.disks[0]?.readReason).toBe('first');
    const again = await backUp(machine, { repository: 'second' });
    expect(again.disks[0]?.readReason).toBe('changedBlocks');
    const first = await lab.installation.repository();
    const [old] = (await rowsOf(machine)).filter(({ repositoryId }) => repositoryId === first.id);
    const base = old?.point.disks[0]?.snapshotId.toLowerCase() ?? '';
    const bases = () => lab.installation.catalog.chains.protectedSnapshots();
    expect((await bases()).has(base)).toBe(true);
    const chain = await openChain(first, old?.point.chainId ?? '');
    await removeRestorePoint(lab.installation, first, chain, {
      sequence: 1,
      machineId: machine.id,
      sessionId: null,
      reason: 'request',
      why: 'moved',
    });
    expect((await bases()).has(base)).toBe(false);
    expect((await bases()).size).toBeGreaterThan(0);
  });

  it('a repository is taken out only when nothing uses it, keeps what it holds, and is back after it was added and rescanned', async () => {
    const { catalog } = lab.installation;
    const third = await placeOf('third');
    expect(await attachRepository(lab.installation, third)).toMatchObject({ id: 'third', chains: 0 });
    const machine = await lab.machine('detached');
    const disk = await osDisk(machine);
    const session = await backUp(machine, { repository: 'third' });
    const content = await lab.bytes(disk);
    expect((await listRepositories(lab.installation)).map(({ id, chains }) => [id, chains])).toEqual([
      ['default', expect.any(Number)],
      ['second', expect.any(Number)],
      ['third', 1],
    ]);

    const policy = policySchema.parse({
      id: 'third-one',
      scope: { machines: ['detached'] },
      storage: { copies: ['third'] },
    });
    await catalog.policies.put(policy);
    await expect(detachRepository(lab.installation, 'third')).rejects.toMatchObject({
      code: 'conflict',
      target: 'third-one',
    });
    await catalog.policies.remove('third-one');
    const running = await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover: 'inline' }),
      repository: 'third',
      reason: 'test',
      policyId: null,
      parentId: null,
    });
    await expect(detachRepository(lab.installation, 'third')).rejects.toMatchObject({
      code: 'conflict',
      target: running.id,
    });
    await lab.run();

    const before = await objectsOf(storeOf(`${third.blobEndpoint}/${third.metaContainer}`));
    expect(await detachRepository(lab.installation, 'third')).toEqual({ points: 2 });
    expect(await rowsOf(machine)).toEqual([]);
    await expect(lab.installation.repository('third')).rejects.toMatchObject({ code: 'notFound' });
    expect(await objectsOf(storeOf(`${third.blobEndpoint}/${third.metaContainer}`))).toEqual(before);

    await attachRepository(lab.installation, { ...third, id: 'back' });
    expect(await lab.maintain({ kind: 'rescan', accept: [], repository: 'back' })).toMatchObject({
      status: 'succeeded',
      warnings: [],
    });
    expect(await rowsOf(machine)).toHaveLength(2);
    await restores(session, content);
    const next = await backUp(machine, { repository: 'back' });
    expect(next).toMatchObject({ status: 'succeeded', restorePoint: { sequence: 3 } });
    expect(
      await lab.maintain({ kind: 'check', depth: 'content', budgetSeconds: 60, repository: 'back' }),
    ).toMatchObject({
      status: 'succeeded',
      warnings: [],
    });
    expect(await lab.maintain({ kind: 'collection', repository: 'back' })).toMatchObject({
      status: 'succeeded',
    });
    await isSound('back');
  });

  it('a name is one repository, and a repository has one name', async () => {
    await expect(attachRepository(lab.installation, { ...place, id: 'default' })).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(attachRepository(lab.installation, { ...place, id: 'other' })).rejects.toMatchObject({
      code: 'conflict',
      target: 'second',
    });
    const elsewhere = await placeOf('elsewhere');
    await expect(attachRepository(lab.installation, { ...elsewhere, id: 'second' })).rejects.toMatchObject({
      code: 'missingObject',
    });
    // Nothing was founded there.
    expect(await objectsOf(storeOf(`${elsewhere.blobEndpoint}/${elsewhere.metaContainer}`))).toEqual([]);
    await attachRepository(lab.installation, elsewhere);
    await detachRepository(lab.installation, elsewhere.id);
    await expect(attachRepository(lab.installation, { ...elsewhere, id: 'second' })).rejects.toMatchObject({
      code: 'repositoryMismatch',
    });
    expect((await lab.installation.repository('second')).place).toEqual(place);
    await expect(
      attachRepository(lab.installation, { ...place, id: 'locked', immutabilityDays: 3 }),
    ).rejects.toMatchObject({ code: 'notConfigured' });
    await expect(detachRepository(lab.installation, 'nobody')).rejects.toMatchObject({ code: 'notFound' });
  });
});

describe('where a backup goes', () => {
  const storage = policySchema.parse({
    id: 'p',
    scope: { machines: ['x'] },
    storage: {
      repository: 'usual',
      regions: { westeurope: 'west', 'North Europe': 'north' },
      flags: { monthly: 'months', yearly: 'years' },
      copies: ['far', 'west', 'far'],
    },
  }).storage;
  it.each([
    ['eastus', ['daily'], 'usual', ['far', 'west']],
    ['WestEurope', ['daily', 'weekly'], 'west', ['far']],
    ['northeurope', ['daily'], 'north', ['far', 'west']],
    ['westeurope', ['daily', 'monthly'], 'months', ['far', 'west']],
    ['westeurope', ['monthly', 'yearly'], 'years', ['far', 'west']],
    ['eastus', [], 'usual', ['far', 'west']],
  ] as const)('of a machine in %s with flags %j: to %s', (location, flags, repository, copies) => {
    expect(destinationOf(storage, { location }, flags)).toEqual({ repository, copies });
  });
});
