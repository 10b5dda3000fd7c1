import { expect, test } from 'vitest';
import { runMove } from '../../lib/datapath/index.ts';
import {
  type BlobCall,
  checkRepository,
  claimSequence,
  createRepository,
  MemoryBlobStore,
  openSequences,
  readClaim,
  readManifest,
  removePoint,
  renewClaim,
  voidClaim,
} from '../../lib/repository/index.ts';
import { CHEAP, collect, Lab, PASSWORD, type Prepared } from './lab.ts';
import { ModelDisk, ModelSource } from './modelDisk.ts';

const NOW = new Date('2026-11-22T00:00:00Z');

async function prepared(): Promise<{ lab: Lab; disk: ModelDisk; session: Prepared }> {
  const lab = await Lab.start();
  const disk = new ModelDisk('os', 3000);
  disk.write(0, 900, 3);
  return { lab, disk, session: await lab.prepare([disk]) };
}

const check = (lab: Lab) => checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content' });

test('a commit that runs twice, or twice at once, gives the same point', async () => {
  const { lab, session } = await prepared();
  const [first, second] = await Promise.all([lab.commit(session), lab.commit(session)]);
  const third = await lab.commit(session);
  expect(second).toEqual(first);
  expect(third).toEqual(first);
  expect(await check(lab)).toMatchObject({ findings: [], points: 1 });
  await lab.mustRestore(1);
});

test('void and commit race: one decides the number, and both see the same', async () => {
  for (let round = 0; round < 20; round++) {
    const { lab, session } = await prepared();
    const sequence = session.claim.sequence;
    const end = () => voidClaim(lab.chain, { sequence, by: 'sweep', now: NOW, because: 'sessionEnded' });
    const calls = round % 2 ? [lab.commit(session), end()] : [end(), lab.commit(session)];
    const [one, other] = await Promise.allSettled(calls);
    const commit = round % 2 ? one : other;
    const ended = round % 2 ? other : one;
    const decided = (await readManifest(lab.chain, sequence))?.manifest;
    expect(ended).toMatchObject({ status: 'fulfilled', value: { state: decided?.state } });
    const lost = { status: 'rejected', reason: { code: 'claimLost' } };
    expect(commit).toMatchObject(decided?.state === 'point' ? { status: 'fulfilled' } : lost);
    if (decided?.state === 'void') lab.truth.clear();
    expect((await check(lab)).findings).toEqual([]);
  }
});

test('a commit after the number was ended, taken over or removed is claimLost', async () => {
  const { lab, session } = await prepared();
  const later = await claimSequence(lab.chain, { ...session.claim, epoch: 2 });
  expect(later.sequence).toBe(session.claim.sequence);
  await expect(lab.commit(session)).rejects.toMatchObject({ code: 'claimLost' });
  await lab.commit({ ...session, claim: later });
  await expect(lab.commit(session)).rejects.toMatchObject({ code: 'claimLost' });
  await removePoint(lab.chain, { sequence: 1, by: 'retention', now: NOW });
  await expect(lab.commit({ ...session, claim: later })).rejects.toMatchObject({ code: 'claimLost' });
});

test('a claim that is taken over while the commit writes its trees is noticed before the manifest', async () => {
  let lab: Lab | null = null;
  let fired = 0;
  class Interrupting extends MemoryBlobStore {
    override async create(name: string, bytes: Uint8Array, options?: BlobCall) {
      const created = await super.create(name, bytes, options);
      if (name.endsWith('.tree') && lab) {
        fired++;
        await claimSequence(lab.chain, { ...session.claim, epoch: 2 });
      }
      return created;
    }
  }
  lab = await Lab.start({ meta: new Interrupting('meta') });
  const disk = new ModelDisk('os', 3000);
  disk.write(0, 900, 3);
  const session = await lab.prepare([disk]);
  await expect(lab.commit(session)).rejects.toMatchObject({ code: 'claimLost' });
  expect(fired).toBe(1);
  expect(await readManifest(lab.chain, 1)).toBeNull();
});

test('two attempts at a shard live side by side; the one that is reported counts, the other is garbage', async () => {
  const { lab, disk, session } = await prepared();
  const [plan] = session.plans;
  const source = new ModelSource(session.snapshots[0] ?? disk.snapshot());
  const spec = {
    kind: 'move' as const,
    chain: { id: lab.chain.id, blockBytes: lab.blockBytes },
    sequence: session.claim.sequence,
    disk: 0,
    sizeBytes: disk.content.length,
    snapshotId: 's',
    plan: plan?.plan ?? '',
    shard: 0,
    compare: true,
  };
  const second = await runMove(spec, lab.io(2, { source }));
  expect(second.map).not.toBe(session.moves[0]?.map);
  // A late run of the first attempt finds its names taken.
  await expect(runMove(spec, lab.io(1, { source }))).rejects.toMatchObject({
    code: 'alreadyExists',
    retryable: true,
  });
  const [entry] = session.disks;
  if (!entry) throw new Error('no disk');
  await lab.commit({ ...session, disks: [{ ...entry, shards: [second, ...entry.shards.slice(1)] }] });
  const { findings, garbage } = await check(lab);
  expect(findings).toEqual([]);
  expect(garbage.map(({ object }) => object)).toContain(session.moves[0]?.map);
  await lab.mustRestore(1);
});

test('a shard that is reported twice, or for another number, is refused', async () => {
  const { lab, session } = await prepared();
  const [entry] = session.disks;
  if (!entry) throw new Error('no disk');
  const commit = (shards: typeof entry.shards) => lab.commit({ ...session, disks: [{ ...entry, shards }] });
  await expect(commit([...entry.shards, ...entry.shards])).rejects.toMatchObject({ code: 'invalidInput' });
  const [first] = entry.shards;
  if (!first) throw new Error('no shard');
  await expect(
    commit([{ ...first, map: first.map.replace('/00000001.', '/00000002.') }]),
  ).rejects.toMatchObject({
    code: 'invalidInput',
  });
  await expect(commit([{ ...first, mapTag: '0'.repeat(32) }])).rejects.toMatchObject({
    code: 'corruptObject',
    target: first.map,
  });
});

test('a commit refuses a shard whose pack is missing or short', async () => {
  const { lab, session } = await prepared();
  const packs = (await collect(lab.data.list(''))).filter(({ name }) => name.endsWith('.pack'));
  const pack = packs[0]?.name ?? '';
  const { bytes } = await lab.data.read(pack);
  await lab.data.remove(pack);
  await expect(lab.commit(session)).rejects.toMatchObject({ code: 'missingObject', target: pack });
  await lab.data.create(pack, bytes.subarray(0, bytes.length - 1));
  await expect(lab.commit(session)).rejects.toMatchObject({ code: 'corruptObject', target: pack });
});

test('a number is one above the highest in any object name, and is taken once', async () => {
  const { lab } = await prepared();
  await lab.data.create(
    `chains/${lab.chain.id}/packs/00000041-0000-000000-001-000000.pack`,
    Buffer.from('stray'),
  );
  const sessions = Array.from({ length: 5 }, () => lab.nextSession());
  const claims = await Promise.all(sessions.map((session) => lab.claim(session, null)));
  expect(claims.map(({ sequence }) => sequence).sort((a, b) => a - b)).toEqual([42, 43, 44, 45, 46]);
  // The same session again gets its own one.
  expect(await lab.claim(sessions[2] ?? '', null)).toEqual(claims[2]);
  expect(await openSequences(lab.chain)).toEqual([1, 42, 43, 44, 45, 46]);
});

test('a claim is renewed by its session only, and an older epoch loses it', async () => {
  const { lab, session } = await prepared();
  const { claim } = session;
  const before = await readClaim(lab.chain, claim.sequence);
  await renewClaim(lab.chain, claim);
  expect((await readClaim(lab.chain, claim.sequence))?.etag).not.toBe(before?.etag);
  await expect(renewClaim(lab.chain, { ...claim, session: 'other' })).rejects.toMatchObject({
    code: 'claimLost',
  });
  await renewClaim(lab.chain, { ...claim, epoch: 3 });
  await expect(renewClaim(lab.chain, claim)).rejects.toMatchObject({ code: 'claimLost' });
});

test("a claim is stale after an hour of the store's clock, whatever our clock says", async () => {
  let now = new Date('2030-01-01T00:00:00Z');
  const meta = new MemoryBlobStore('meta', () => now);
  const lab = new Lab({ meta });
  await createRepository({ ...lab.stores, unlock: PASSWORD, now: NOW, scrypt: CHEAP });
  await lab.found();
  const claim = await lab.claim(lab.nextSession(), null);
  const end = () =>
    voidClaim(lab.chain, { sequence: claim.sequence, by: 'sweep', now: NOW, because: 'stale' });
  now = new Date('2030-01-01T00:59:59Z');
  await expect(end()).rejects.toMatchObject({ code: 'conflict' });
  await renewClaim(lab.chain, claim);
  now = new Date('2030-01-01T01:30:00Z');
  await expect(end()).rejects.toMatchObject({ code: 'conflict' });
  now = new Date('2030-01-01T02:00:00Z');
  expect(await end()).toMatchObject({ state: 'void', reason: 'abandoned' });
  expect(await end()).toMatchObject({ state: 'void', reason: 'abandoned' });
  // The probes of the clock are gone.
  expect(await collect(meta.list('leases/'))).toEqual([]);
});

test('removing a point is repeatable, keeps its roots and its number, and an undecided number cannot be removed', async () => {
  const { lab, disk, session } = await prepared();
  await expect(removePoint(lab.chain, { sequence: 1, by: 'test', now: NOW })).rejects.toMatchObject({
    code: 'missingObject',
  });
  const { manifest } = await lab.commit(session);
  const [one, other] = await Promise.all(
    [1, 2].map(() => removePoint(lab.chain, { sequence: 1, by: 'test', now: NOW })),
  );
  expect(one?.manifest).toEqual(other?.manifest);
  expect(one?.manifest.disks[0]?.tree).toEqual(manifest.disks[0]?.tree);
  await expect(lab.mustRestore(1)).rejects.toMatchObject({ code: 'missingObject' });
  // A void can still be the parent of what was claimed on top of it.
  const next = await lab.claim(lab.nextSession(), 1);
  expect(next.sequence).toBe(2);
  disk.write(1, 1, 1);
});
