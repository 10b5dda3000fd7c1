import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { memoryCatalog, openCatalog } from '../../lib/catalog/catalog.ts';
import { MemoryTable } from '../../lib/catalog/memoryTable.ts';
import { policySchema, type RestorePoint } from '../../lib/model/index.ts';
import { MACHINE, sessionIds, TestClock } from './support.ts';

const [a = '', b = ''] = sessionIds(2);
const open = () => {
  const clock = new TestClock();
  return { clock, ...memoryCatalog(clock) };
};
const CHAIN = '0123456789abcdef';

const point = (sequence: number, chainId = CHAIN): RestorePoint => ({
  chainId,
  sequence,
  machineId: MACHINE,
  machineName: 'vm',
  sessionId: a,
  kind: 'incremental',
  consistency: 'atomic',
  takenAt: '2026-11-21T10:00:00Z',
  committedAt: `2026-11-21T10:00:${String(sequence).padStart(2, '0')}Z`,
  disks: [],
});

describe('slots', () => {
  const slot = new Date('2026-11-21T09:00:00Z');
  const daily = { policyId: 'daily', region: null };
  const run = (instanceId: string) => ({
    instanceId,
    late: false,
    makes: 'backup' as const,
    flags: ['daily' as const, 'weekly' as const],
    backupFlags: ['weekly' as const],
  });

  it('a slot is claimed once, and the row tells who did', async () => {
    const { slots } = open();
    expect(await slots.claim(daily, slot, run('one'))).toMatchObject({
      claimed: true,
    });
    expect(await slots.claim(daily, slot, run('two'))).toMatchObject({
      claimed: false,
      slot: { instanceId: 'one', flags: ['daily', 'weekly'], backupFlags: ['weekly'], state: 'claimed' },
    });
    expect(await slots.claim({ policyId: 'other', region: null }, slot, run('two'))).toMatchObject({
      claimed: true,
    });
  });

  it('a slot only goes forward', async () => {
    const { slots } = open();
    await slots.claim(daily, slot, run('one'));
    await slots.advance(daily, slot, 'started');
    await slots.advance(daily, slot, 'done');
    expect((await slots.advance(daily, slot, 'started')).state).toBe('done');
    const later = new Date('2026-11-21T10:00:00Z');
    await slots.miss(daily, later, null);
    expect((await slots.claim(daily, later, run('x'))).claimed).toBe(false);
    expect((await slots.advance(daily, later, 'done')).state).toBe('missed');
  });

  it('claimed slots that nobody started are found after two minutes', async () => {
    const { clock, slots } = open();
    await slots.claim(daily, slot, run('one'));
    expect(await slots.stale(daily, slot, 120_000)).toEqual([]);
    clock.pass(120_000);
    expect((await slots.stale(daily, slot, 120_000)).map(({ instanceId }) => instanceId)).toEqual(['one']);
    await slots.advance(daily, slot, 'started');
    expect(await slots.stale(daily, slot, 120_000)).toEqual([]);
  });

  it('each region of a policy has slots of its own, at the same moment too', async () => {
    const { slots } = open();
    const [east, west] = ['eastus', 'westeurope'].map((region) => ({ policyId: 'daily', region }));
    if (!east || !west) throw new Error('two regions');
    expect((await slots.claim(east, slot, run('one'))).claimed).toBe(true);
    expect((await slots.claim(west, slot, run('two'))).claimed).toBe(true);
    expect((await slots.claim(daily, slot, run('three'))).claimed).toBe(true);
    expect((await slots.list(west)).map(({ instanceId }) => instanceId)).toEqual(['two']);
    expect((await slots.list(daily)).map(({ instanceId }) => instanceId)).toEqual(['three']);
  });

  it('up to when was looked never goes back, unless the calendar is another', async () => {
    const { slots } = open();
    const hour = (n: number) => new Date(`2026-11-21T${String(n).padStart(2, '0')}:00:00Z`);
    expect(await slots.looked(daily)).toBeNull();
    for (const n of [11, 9]) await slots.look(daily, hour(n), 'one');
    expect(await slots.looked(daily)).toEqual({ since: hour(11), from: hour(11), calendar: 'one' });
    await slots.look(daily, hour(10), 'two');
    expect(await slots.looked(daily)).toEqual({ since: hour(10), from: hour(11), calendar: 'two' });
    await slots.look(daily, hour(12), 'two', { anew: true });
    expect(await slots.looked(daily)).toEqual({ since: hour(12), from: hour(12), calendar: 'two' });
    expect(await slots.looked({ policyId: 'daily', region: 'eastus' })).toBeNull();
  });

  it('old slots can be forgotten, those of all policies and regions', async () => {
    const { slots } = open();
    const east = { policyId: 'other', region: 'eastus' };
    const hours = [9, 10, 11].map((hour) => new Date(`2026-11-21T${String(hour).padStart(2, '0')}:00:00Z`));
    for (const at of hours) for (const of of [daily, east]) await slots.claim(of, at, run('x'));
    await slots.cover('daily', MACHINE, slot, 'backup');
    expect(await slots.forget(new Date('2026-11-21T11:00:00Z'), () => true)).toBe(4);
    for (const of of [daily, east])
      expect((await slots.list(of)).map((row) => row.slot)).toEqual(['2026-11-21T11:00:00.000Z']);
    expect(await slots.covered('daily', MACHINE)).not.toBeNull();
  });

  it('a machine is covered up to the newest slot that it has a snapshot, and a restore point, for', async () => {
    const { slots } = open();
    const hour = (n: number) => new Date(`2026-11-21T${String(n).padStart(2, '0')}:00:00Z`);
    expect(await slots.covered('daily', MACHINE)).toBeNull();
    await slots.join('daily', MACHINE, hour(6));
    await slots.join('daily', MACHINE, hour(8));
    await slots.cover('daily', MACHINE, hour(9), 'backup');
    await slots.cover('daily', MACHINE, hour(11), 'snapshot');
    await slots.cover('daily', MACHINE, hour(10), 'snapshot');
    expect(await slots.covered('daily', MACHINE)).toEqual({
      joinedAt: hour(6).toISOString(),
      snapshot: hour(11).toISOString(),
      backup: hour(9).toISOString(),
    });
    expect(await slots.covered('other', MACHINE)).toBeNull();
  });
});

describe('points', () => {
  it('a point and its manifest are added once', async () => {
    const { points } = open();
    const manifest = Buffer.alloc(300_000, 5);
    await points.add(point(1), manifest, 'aa');
    await points.add(point(1), manifest, 'aa');
    await expect(points.add(point(1), manifest, 'bb')).rejects.toMatchObject({ code: 'conflict' });
    expect(Buffer.compare(Buffer.from((await points.manifest(CHAIN, 1)) ?? []), manifest)).toBe(0);
    expect(await points.get(CHAIN, 1)).toEqual({
      point: point(1),
      tag: 'aa',
      removedAt: null,
      damaged: false,
      retention: { flags: [], rules: null, hold: null, expiresAt: null },
      stateCounter: 0,
      repositoryId: null,
      immutableUntil: null,
      missing: false,
      removedWhy: null,
    });
    expect(await points.manifest(CHAIN, 2)).toBeNull();
  });

  it('points are listed by number, and over all chains of a machine by time', async () => {
    const { points } = open();
    const second = 'fedcba9876543210'.replaceAll('l', '1');
    for (const sequence of [10, 2, 1]) await points.add(point(sequence), Buffer.from('m'), `${sequence}`);
    await points.add(point(5, second), Buffer.from('m'), '5');
    expect((await points.list(CHAIN)).map((row) => row.point.sequence)).toEqual([1, 2, 10]);
    expect((await points.listMachine(MACHINE)).map((row) => row.point.sequence)).toEqual([1, 2, 5, 10]);
    expect(await points.machines()).toEqual([MACHINE]);
  });

  it('a removed point is not listed, and its name stays taken', async () => {
    const { points } = open();
    for (const sequence of [1, 2]) await points.add(point(sequence), Buffer.from('m'), `${sequence}`);
    const at = new Date('2026-11-22T00:00:00Z');
    await points.markRemoved(CHAIN, 1, at);
    await points.markRemoved(CHAIN, 1, new Date('2026-11-23T00:00:00Z'));
    await points.markRemoved(CHAIN, 7, at);
    expect((await points.list(CHAIN)).map((row) => row.point.sequence)).toEqual([2]);
    expect((await points.list(CHAIN, { removed: true }))[0]?.removedAt).toBe(at.toISOString());
    await points.add(point(1), Buffer.from('m'), '1');
    expect((await points.list(CHAIN)).map((row) => row.point.sequence)).toEqual([2]);
  });
});

describe('intents', () => {
  it('what was written and not resolved is found, by session and by kind', async () => {
    const { clock, intents } = open();
    const id = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/x y';
    const first = await intents.write(a, 'snapshot', id, { try: 1 });
    clock.pass(1000);
    expect(await intents.write(a, 'snapshot', id, { try: 2 })).toEqual({ ...first, detail: { try: 2 } });
    await intents.write(a, 'worker', 'pool/0');
    await intents.write(b, 'worker', 'pool/1');
    expect((await intents.list(a)).map(({ kind, key }) => [kind, key])).toEqual([
      ['snapshot', id],
      ['worker', 'pool/0'],
    ]);
    expect((await intents.list(a, 'worker')).map(({ key }) => key)).toEqual(['pool/0']);
    expect((await intents.sessions()).toSorted()).toEqual([a, b].toSorted());
    await intents.resolve(a, 'snapshot', id);
    await intents.resolve(a, 'snapshot', id);
    await intents.resolve(a, 'worker', 'pool/0');
    expect(await intents.sessions()).toEqual([b]);
  });
});

describe('policies', () => {
  const policy = policySchema.parse({ id: 'daily', scope: {} });

  it('a policy is written over the version that was read, and over no other', async () => {
    const { policies } = open();
    const first = await policies.put(policy, null);
    await expect(policies.put(policy, null)).rejects.toMatchObject({ code: 'alreadyExists' });
    const second = await policies.put({ ...policy, enabled: false }, first.etag);
    await expect(policies.put(policy, first.etag)).rejects.toMatchObject({ code: 'preconditionFailed' });
    expect(await policies.get('daily')).toEqual(second);
    await policies.put({ ...policy, mover: 'inline' });
    expect((await policies.list()).map(({ value }) => value.mover)).toEqual(['inline']);
    await expect(policies.remove('daily', first.etag)).rejects.toMatchObject({ code: 'preconditionFailed' });
    await policies.remove('daily');
    await expect(policies.remove('daily')).rejects.toMatchObject({ code: 'notFound' });
  });
});

describe('installation', () => {
  const facts = { id: 'r1', mode: 'aes', fingerprint: 'ff', counter: 3 };

  it('a repository is remembered at first sight, and no other is taken for it', async () => {
    const { installation } = open();
    await installation.recognise(facts);
    await installation.recognise({ ...facts, counter: 4 });
    const refused = [
      { ...facts, counter: 3 },
      { ...facts, counter: 9, id: 'r2' },
      { ...facts, counter: 9, mode: 'none' },
      { ...facts, counter: 9, fingerprint: 'ee' },
    ];
    for (const other of refused) {
      await expect(installation.recognise(other)).rejects.toMatchObject({ code: 'repositoryMismatch' });
    }
    expect(await installation.repository()).toEqual({ ...facts, counter: 4 });
    await installation.forgetRepository();
    await installation.recognise({ ...facts, id: 'r2', counter: 1 });
  });

  it('everybody who asks for a new fact at once gets the same', async () => {
    const { installation } = open();
    const got = await Promise.all(
      ['x', 'y', 'z'].map((value) => installation.putOnce('id', z.string(), value)),
    );
    expect(new Set(got).size).toBe(1);
  });
});

it('a row that this version did not write is named, not trusted', async () => {
  const table = new MemoryTable('holdfastPolicies');
  const { policies } = openCatalog(() => table, new TestClock());
  await table.insert({ partition: 'policies', row: 'odd', document: { id: 'odd', scope: 7 } });
  await expect(policies.get('odd')).rejects.toMatchObject({ code: 'internal', target: 'policies/odd' });
});
