import { describe, expect, it } from 'vitest';
import { memoryCatalog } from '../../lib/catalog/catalog.ts';
import { type RestorePoint, repositoryPlaceSchema } from '../../lib/model/index.ts';
import { MACHINE, sessionIds, TestClock } from './support.ts';

const [a = ''] = sessionIds(1);
const open = () => memoryCatalog(new TestClock());
const place = (id: string) =>
  repositoryPlaceSchema.parse({ id, blobEndpoint: 'https://far.blob.core.windows.net/' });
const key = (repositoryId: string) => ({ repositoryId, machineId: MACHINE });
const BASES = { disk: { snapshotId: '/Snapshots/One', familyId: 'family' } };

const point = (chainId: string, sequence: number): RestorePoint => ({
  chainId,
  sequence,
  machineId: MACHINE,
  machineName: 'vm',
  sessionId: a,
  kind: 'full',
  consistency: 'perDisk',
  takenAt: '2026-11-21T10:00:00.000Z',
  committedAt: '2026-11-21T10:00:00.000Z',
  disks: [],
});
const facts = (repositoryId: string) => ({
  retention: { flags: [], rules: null, hold: null, expiresAt: null },
  stateCounter: 0,
  repositoryId,
});

describe('repositories', () => {
  it('are kept by name, and a URL without the slash at its end', async () => {
    const { repositories } = open();
    await repositories.put(place('second'));
    await repositories.put({ ...place('second'), region: 'north' });
    await repositories.put(place('a-first'));
    expect((await repositories.list()).map(({ id, region }) => [id, region])).toEqual([
      ['a-first', null],
      ['second', 'north'],
    ]);
    expect((await repositories.get('second'))?.blobEndpoint).toBe('https://far.blob.core.windows.net');
    await repositories.remove('second');
    expect(await repositories.get('second')).toBeNull();
    await expect(repositories.remove('second')).rejects.toMatchObject({ code: 'notFound' });
  });

  it.each([
    ['http://far.blob.core.windows.net', 'holdfast-meta'],
    ['https://far.blob.core.windows.net/?sig=x', 'holdfast-meta'],
    ['https://far.blob.core.windows.net', 'Two--Dashes'],
  ])('a place at %s, container %s, is refused', (blobEndpoint, metaContainer) => {
    expect(repositoryPlaceSchema.safeParse({ id: 'x', blobEndpoint, metaContainer }).success).toBe(false);
  });
});

describe('what belongs to a repository', () => {
  it('is forgotten with it, and nothing else is', async () => {
    const { points, chains } = open();
    for (const [chainId, repository] of [
      ['0000000000000001', 'one'],
      ['0000000000000002', 'two'],
      ['0000000000000003', 'two'],
    ] as const) {
      for (const sequence of [1, 2])
        await points.add(point(chainId, sequence), Buffer.from('m'), `${sequence}`, facts(repository));
    }
    await points.markRemoved('0000000000000003', 1, new Date());
    for (const repository of ['one', 'two']) await chains.adopt(key(repository), '0000000000000001');
    expect(await points.forgetRepository('two')).toBe(3);
    await chains.forgetRepository('two');
    expect((await points.listMachine(MACHINE)).map(({ point: { chainId } }) => chainId)).toEqual([
      '0000000000000001',
      '0000000000000001',
    ]);
    expect(await points.list('0000000000000003', { removed: true })).toEqual([]);
    expect((await chains.list()).map(({ repositoryId }) => repositoryId)).toEqual(['one']);
    expect(await points.forgetRepository('two')).toBe(0);
  });

  it('is not forgotten while a session holds a chain of it', async () => {
    const { chains } = open();
    const holder = { sessionId: a, instanceId: 'run' };
    await chains.take(key('one'), holder, () => Promise.resolve(true));
    await expect(chains.forgetRepository('one')).rejects.toMatchObject({ code: 'conflict', target: a });
    expect(await chains.get(key('one'))).not.toBeNull();
  });

  it('a chain gives its bases free, unless a session holds it or it went on', async () => {
    const { chains } = open();
    const holder = { sessionId: a, instanceId: 'run' };
    const taken = await chains.take(key('one'), holder, () => Promise.resolve(true));
    const { chainId = '', epoch = 0 } = taken.taken ? taken.chain : {};
    await chains.advance(key('one'), { sessionId: a, epoch }, { sequence: 1, tag: 'x' }, BASES);
    await chains.dropBases(key('one'), chainId);
    expect([...(await chains.protectedSnapshots())]).toEqual(['/snapshots/one']);
    await chains.release(key('one'), { sessionId: a, epoch });
    await chains.dropBases(key('one'), 'ffffffffffffffff');
    expect((await chains.protectedSnapshots()).size).toBe(1);
    await chains.dropBases(key('one'), chainId);
    expect((await chains.protectedSnapshots()).size).toBe(0);
    await chains.dropBases(key('nobody'), chainId);
  });

  it('a point remembers until when it cannot be removed', async () => {
    const { points } = open();
    const chainId = '0000000000000001';
    const until = new Date('2027-01-01T00:00:00Z');
    await points.noteLock(chainId, 1, until);
    await points.add(point(chainId, 1), Buffer.from('m'), 'x');
    expect(await points.get(chainId, 1)).toMatchObject({ immutableUntil: null, repositoryId: null });
    await points.noteLock(chainId, 1, until);
    expect(await points.get(chainId, 1)).toMatchObject({ immutableUntil: until.toISOString() });
  });
});
