import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../lib/model/index.ts';
import {
  type BlobStore,
  type Chain,
  type CommittedPoint,
  checkRepository,
  commitPoint,
  dependenciesOf,
  GENERATION_MS,
  generationAt,
  judgeBy,
  lockDate,
  openChain,
  openPoint,
  openVersioned,
  PointLocks,
  type PointManifest,
  planLocks,
  readManifest,
  removePoint,
  VersionedView,
} from '../../lib/repository/index.ts';
import { describeBlobStore } from '../conformance/blobStore.ts';
import { Crash, CrashPlan } from '../datapath/faultyStore.ts';
import { CONFIGURATION, collect, Lab, PASSWORD, type Prepared } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { describeLockableStore } from './immutabilityConformance.ts';
import { MemoryLockableStore } from './immutabilityStore.ts';

const DAY = 86_400_000;
const START = new Date('2026-11-21T10:00:00Z');
const day = (n: number) => new Date(START.getTime() + n * DAY);

describeBlobStore('versions in memory', () =>
  Promise.resolve(new MemoryLockableStore('m', () => new Date())),
);
describeLockableStore('memory', () => {
  let at = START.getTime();
  const now = () => new Date(at);
  return Promise.resolve({ store: new MemoryLockableStore('m', now), now, pass: (ms: number) => (at += ms) });
});

describe('generations', () => {
  test('the worked example: five days of retention, a chain of 1 March', () => {
    const founded = new Date('2026-03-01T00:00:00Z');
    const date = (at: string) => lockDate(founded, new Date(at), 5).toISOString().slice(0, 10);
    expect(date('2026-03-01T00:00:00Z')).toBe('2026-03-16');
    expect(date('2026-03-10T23:59:59Z')).toBe('2026-03-16');
    expect(date('2026-03-11T00:00:00Z')).toBe('2026-03-26');
  });

  test('a lock lasts the retention at the least and ten days more at the most, the same for a whole generation', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true }),
        fc.integer({ min: 0, max: 4000 * DAY }),
        fc.integer({ min: 1, max: 400 }),
        (founded, age, retention) => {
          const now = new Date(founded.getTime() + age);
          const until = lockDate(founded, now, retention);
          const lasts = until.getTime() - now.getTime();
          expect(lasts).toBeGreaterThan(retention * DAY);
          expect(lasts).toBeLessThanOrEqual(retention * DAY + GENERATION_MS + 1000);
          const { start, end, index } = generationAt(founded, now);
          expect(lockDate(founded, start, retention)).toEqual(until);
          expect(lockDate(founded, new Date(end.getTime() - 1), retention)).toEqual(until);
          expect(lockDate(founded, end, retention).getTime() - until.getTime()).toBeGreaterThanOrEqual(
            GENERATION_MS - 1000,
          );
          expect(generationAt(founded, end).index).toBe(index + 1);
        },
      ),
    );
    expect(() => lockDate(START, START, 0)).toThrow(/whole number of days/);
    // A clock that is behind the founding is in the first generation.
    expect(generationAt(START, day(-3)).index).toBe(0);
  });

  test('only what is not locked so long is extended, and what is not there is named', () => {
    const known = new Map([
      ['a', day(10)],
      ['b', day(9)],
      ['c', null],
    ]);
    expect(planLocks(['a', 'b', 'c', 'd'], known, day(10))).toEqual({ extend: ['b', 'c'], missing: ['d'] });
  });
});

/** A repository in containers with versions, and sessions that commit immutable points. */
class ImmutableLab {
  at = START;
  readonly meta = new MemoryLockableStore('meta', () => this.at);
  readonly data = new MemoryLockableStore('data', () => this.at);
  readonly locks = new PointLocks({ meta: this.meta, data: this.data, retentionDays: 5, now: () => this.at });
  readonly disk = new ModelDisk('os', 2600);
  lab!: Lab;
  #seed = 1;

  static async start(): Promise<ImmutableLab> {
    const made = new ImmutableLab();
    made.lab = await Lab.start({ meta: made.locks.meta, data: made.data });
    return made;
  }

  async prepare(from = 0, count = 40): Promise<Prepared> {
    this.disk.write(from, count, this.#seed++);
    return this.lab.prepare([this.disk]);
  }

  async commit(prepared: Prepared): Promise<CommittedPoint> {
    const point = await commitPoint(this.lab.chain, {
      claim: prepared.claim,
      policyId: null,
      takenAt: START,
      now: this.at,
      consistency: 'perDisk',
      configuration: CONFIGURATION,
      retention: null,
      disks: prepared.disks,
      protect: (chain, manifest, signal) => this.locks.protect(chain, manifest, signal),
    });
    const [snapshot] = prepared.snapshots;
    if (snapshot) this.lab.truth.set(point.manifest.sequence, new Map([['os', snapshot]]));
    return point;
  }

  async dates(): Promise<Map<string, number | null>> {
    const found = new Map<string, number | null>();
    for (const store of [this.meta, this.data]) {
      for (const { name, lock } of await collect(store.listLocks('')))
        found.set(name, lock ? (lock.until.getTime() - START.getTime()) / DAY : null);
    }
    return found;
  }
}

/** All objects without which a point does not restore. */
async function neededBy(chain: Chain, manifest: PointManifest): Promise<string[]> {
  const { meta, data } = await dependenciesOf(chain, manifest);
  const own = `chains/${chain.id}/points/${String(manifest.sequence).padStart(8, '0')}.manifest`;
  return [...meta, ...data, own];
}

describe('an immutable repository', () => {
  test('locks all that a point needs to the date of its generation, and extends it when the next one begins', async () => {
    const it = await ImmutableLab.start();
    const first = await it.commit(await it.prepare());
    const expectDates = async (point: CommittedPoint, date: number) => {
      const dates = await it.dates();
      const names = await neededBy(it.lab.chain, point.manifest);
      expect(names.length).toBeGreaterThanOrEqual(6);
      expect(names.map((name) => [name, dates.get(name)])).toEqual(names.map((name) => [name, date]));
    };
    await expectDates(first, 15);
    // Within the generation: the same date, and only what is new needs a request.
    it.at = day(4);
    const prepared = await it.prepare(2400, 16);
    const before = await it.dates();
    const second = await it.commit(prepared);
    await expectDates(second, 15);
    const changed = [...(await it.dates())].filter(
      ([name, date]) => before.has(name) && before.get(name) !== date,
    );
    expect(changed.map(([name]) => name).every((name) => /\/00000002[.-]/.test(name))).toBe(true);
    // The next generation takes along what it shares with the points before; their manifests keep their date.
    it.at = day(11);
    const third = await it.commit(await it.prepare(2400, 16));
    await expectDates(third, 25);
    const dates = await it.dates();
    const shared = (await neededBy(it.lab.chain, third.manifest)).filter((name) =>
      /\/00000001[.-].*(pack|map)$/.test(name),
    );
    expect(shared.length).toBeGreaterThan(0);
    expect(dates.get(`chains/${it.lab.chain.id}/points/00000001.manifest`)).toBe(15);
    for (const sequence of [1, 2, 3]) await it.lab.mustRestore(sequence);
  });

  test('does not commit a point whose locks are not in force, or that lost an object', async () => {
    const it = await ImmutableLab.start();
    const prepared = await it.prepare();
    it.data.ignoreLocks = 1;
    await expect(it.commit(prepared)).rejects.toMatchObject({
      code: 'notConfigured',
      message: expect.stringContaining('was not committed'),
    });
    expect(it.data.ignoreLocks).toBe(0);
    expect(await readManifest(it.lab.chain, prepared.claim.sequence)).toBeNull();
    await it.commit(prepared);
    const next = await it.prepare(2400, 16);
    const [pack = ''] = [...(await it.dates()).keys()].filter((name) => name.endsWith('.pack'));
    await it.data.remove(pack);
    await expect(it.commit(next)).rejects.toMatchObject({ code: 'missingObject', target: pack });
  });

  test('a manifest whose lock was taken and not kept is locked when it is read back', async () => {
    const it = await ImmutableLab.start();
    const committed = await it.commit(await it.prepare());
    const name = `chains/${it.lab.chain.id}/points/00000001.manifest`;
    it.meta.unlock(name);
    expect(await it.meta.lockOf(name)).toBeNull();
    it.meta.ignoreLocks = 1;
    await expect(it.locks.confirm(it.lab.chain, committed.manifest)).rejects.toMatchObject({
      code: 'notConfigured',
      message: expect.stringContaining('can be removed'),
    });
    expect(await it.locks.confirm(it.lab.chain, committed.manifest)).toEqual(day(15));
    expect((await it.meta.lockOf(name))?.until).toEqual(day(15));
    expect(await it.locks.confirm(it.lab.chain, committed.manifest)).toEqual(day(15));
  });

  test('a crash at any storage call of the commit leaves no point, or one that is locked as a whole', async () => {
    let fired = 0;
    for (const when of ['before', 'after'] as const) {
      for (let at = 1, ended = false; !ended; at++) {
        const it = await ImmutableLab.start();
        await it.commit(await it.prepare());
        it.at = day(12);
        const prepared = await it.prepare(2400, 16);
        const plan = new CrashPlan(at, when);
        const restore = [crashOn(it.meta, plan), crashOn(it.data, plan)];
        const crashed = await it.commit(prepared).then(
          () => false,
          (error: unknown) => {
            if (error instanceof Crash) return true;
            throw error;
          },
        );
        for (const undo of restore) undo();
        expect(crashed).toBe(plan.fired);
        if (plan.fired) fired++;
        else ended = true;
        // Without a point there is nothing to be locked.
        const stored = await readManifest(it.lab.chain, 2);
        const dates = await it.dates();
        const needed =
          stored?.manifest.state === 'point' ? await neededBy(it.lab.chain, stored.manifest) : [];
        expect(needed.map((name) => [name, dates.get(name)])).toEqual(needed.map((name) => [name, 25]));
        // The same session goes on.
        await it.commit(prepared);
        await it.lab.mustRestore(1);
        await it.lab.mustRestore(2);
      }
    }
    expect(fired).toBeGreaterThan(40);
  }, 60_000);
});

describe('an attacker who may write and delete', () => {
  const attacked = async () => {
    const it = await ImmutableLab.start();
    await it.commit(await it.prepare());
    await it.commit(await it.prepare(2400, 16));
    return it;
  };
  const reopened = async (it: ImmutableLab) => {
    const repository = await openVersioned({ meta: it.meta, data: it.data, unlock: PASSWORD });
    return openChain(repository, it.lab.chain.id);
  };
  /** As `Lab.restore`, over what a reader of versions sees. */
  const mustRestore = async (it: ImmutableLab, sequence: number) => {
    const chain = await reopened(it);
    const opened = await (await openPoint(chain, sequence)).disk(0);
    const content = Buffer.alloc(opened.disk.sizeBytes);
    for await (const run of opened.blocks())
      for (const { block, bytes } of run) bytes.copy(content, block * chain.blockBytes);
    expect(content.equals(it.lab.truth.get(sequence)?.get('os')?.content ?? Buffer.alloc(0))).toBe(true);
  };

  test('who overwrites and hides every object ends nothing: all points restore from their versions', async () => {
    const it = await attacked();
    for (const store of [it.meta, it.data]) {
      const infos = await collect(store.listLocks(''));
      for (const [n, { name, etag, lock }] of infos.entries()) {
        if (!lock) continue;
        if (n % 3 !== 0) await store.replace(name, Buffer.from('ransom'), etag);
        if (n % 3 !== 1) await store.remove(name);
      }
    }
    await mustRestore(it, 1);
    await mustRestore(it, 2);
    const chain = await reopened(it);
    const checked = await checkRepository({ ...chain.repository, unlock: PASSWORD, depth: 'content' });
    expect(checked.findings).toEqual([]);
    expect(checked.points).toBe(2);
  });

  test('who removes by version is refused with the date, until it is over', async () => {
    const it = await attacked();
    /** What was refused, and what that should have been. */
    const tryAll = async () => {
      const refused: { message: string; date: string }[] = [];
      for (const store of [it.meta, it.data]) {
        for (const { name, version, lock } of await collect(store.listVersions('chains/'))) {
          if (!lock) continue;
          const error = await store.removeVersion(name, version).catch((thrown: unknown) => thrown);
          if (isHoldfastError(error, 'conflict'))
            refused.push({ message: error.message, date: lock.until.toISOString() });
        }
      }
      return refused;
    };
    const refused = await tryAll();
    expect(refused.length).toBeGreaterThan(8);
    for (const { message, date } of refused) expect(message).toContain(`immutable until ${date}`);
    await mustRestore(it, 2);
    it.at = day(15);
    expect(await tryAll()).toEqual([]);
  });

  test('who puts an older manifest on top of a void does not bring the point back', async () => {
    const it = await attacked();
    const name = `chains/${it.lab.chain.id}/points/00000001.manifest`;
    const point = await it.meta.read(name);
    await removePoint(await reopened(it), { sequence: 1, by: 'test', now: it.at });
    const { etag } = await it.meta.read(name);
    await it.meta.replace(name, point.bytes, etag);
    expect((await readManifest(await reopened(it), 1))?.manifest.state).toBe('void');
    await it.meta.remove(name);
    expect((await readManifest(await reopened(it), 1))?.manifest.state).toBe('void');
    await mustRestore(it, 2);
  });

  test('who forges a descriptor on top is passed over, and a replayed one loses by its counter', async () => {
    const it = await attacked();
    const { bytes, etag } = await it.meta.read('repository');
    const forged = Buffer.from(bytes.toString().replace('"counter":1', '"counter":9'));
    const [line = '', , mac] = forged.toString().split('\n');
    const text = `${line}\n${createHash('sha256').update(line).digest('hex')}\n${mac}\n`;
    await it.meta.replace('repository', Buffer.from(text), etag);
    expect((await openVersioned({ meta: it.meta, data: it.data, unlock: PASSWORD })).counter).toBe(1);
    await expect(
      openVersioned({ meta: it.meta, data: it.data, unlock: { password: 'wrong' } }),
    ).rejects.toMatchObject({ code: 'wrongPassword' });
  });
});

test('a view of versions writes on top of what is not ours, and removes an object with all its versions', async () => {
  const it = await ImmutableLab.start();
  const view: BlobStore = new VersionedView(it.data, judgeBy(it.lab.chain.repository.keys));
  await it.data.create('leases/a', Buffer.from('1'));
  const { etag } = await view.read('leases/a');
  await view.replace('leases/a', Buffer.from('2'), etag);
  await expect(view.replace('leases/a', Buffer.from('3'), etag)).rejects.toMatchObject({
    code: 'preconditionFailed',
  });
  await expect(view.create('leases/a', Buffer.from('4'))).rejects.toMatchObject({ code: 'alreadyExists' });
  expect((await view.read('leases/a')).bytes.toString()).toBe('2');
  await view.remove('leases/a');
  expect(await collect(it.data.listVersions('leases/a'))).toEqual([]);
  // A name that somebody took before us, with bytes that are not ours, is not taken.
  const claim = `chains/${it.lab.chain.id}/points/00000009.session`;
  await it.data.create(claim, Buffer.from('not a claim'));
  const { etag: garbage } = await it.data.read(claim);
  await it.data.replace(claim, Buffer.from('nor this'), garbage);
  expect(await view.stat(claim)).toBeNull();
  await view.create(claim, Buffer.from('whatever'));
  expect((await it.data.read(claim)).bytes.toString()).toBe('whatever');
  await it.data.createLocked('leases/b', Buffer.from('1'), day(3));
  await expect(view.remove('leases/b')).rejects.toMatchObject({ code: 'conflict' });
  expect((await view.read('leases/b')).bytes.toString()).toBe('1');
});

/** Every call of a store's own methods goes through the plan; returns what undoes it. */
function crashOn(store: MemoryLockableStore, plan: CrashPlan): () => void {
  const names = [
    'create',
    'createLocked',
    'replace',
    'read',
    'stat',
    'remove',
    'extend',
    'lockOf',
    'readVersion',
  ] as const;
  const own = store as unknown as Record<string, unknown>;
  for (const name of names) {
    const act = store[name].bind(store) as (...args: unknown[]) => Promise<unknown>;
    own[name] = (...args: unknown[]) => plan.run(() => act(...args));
  }
  const list = store.listVersions.bind(store);
  own.listVersions = async function* (prefix: string) {
    await plan.run(() => Promise.resolve());
    yield* list(prefix);
  };
  return () => {
    for (const name of [...names, 'listVersions']) delete own[name];
  };
}
