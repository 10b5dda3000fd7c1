import { describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../lib/model/index.ts';
import {
  collect,
  createLease,
  planCollection,
  readClaim,
  readManifest,
  readPoint,
  releaseLease,
  renewLease,
  takeOwnership,
  voidClaim,
  withLease,
} from '../../lib/repository/index.ts';
import { claimName, manifestName } from '../../lib/repository/names.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { CollectLab, HOUR, OWNER } from './collectLab.ts';

const DISK = 'os';

/** Points 1, 2 and 3 of one disk; each overwrote what the one before had written. */
async function threePoints(): Promise<{ lab: CollectLab; disk: ModelDisk }> {
  const lab = await CollectLab.start();
  const disk = new ModelDisk(DISK, 2600);
  disk.write(0, 400, 3);
  await lab.lab.backup([disk]);
  disk.write(0, 200, 5);
  await lab.lab.backup([disk]);
  disk.write(0, 200, 7);
  await lab.lab.backup([disk]);
  return { lab, disk };
}

const packsOf = async (lab: CollectLab, sequence: number) =>
  (await lab.names('data', `/packs/${String(sequence).padStart(8, '0')}-`)).length;

describe('what collection removes', () => {
  test('nothing, while every point is kept', async () => {
    const { lab } = await threePoints();
    lab.time.advance(48 * HOUR);
    const { garbage, roots, damage, undecided } = await planCollection(lab.chain);
    expect(garbage.map(({ why }) => why)).toEqual(Array(2).fill('a claim on a number that is decided'));
    expect(roots.map(({ sequence, why }) => `${sequence} ${why}`)).toEqual(['1 point', '2 point', '3 point']);
    expect({ damage, undecided }).toEqual({ damage: [], undecided: { objects: 0, bytes: 0 } });
  });

  test('a removed point keeps its blocks for 24 hours, and then they go', async () => {
    const { lab } = await threePoints();
    await lab.remove(2);
    lab.time.advance(24 * HOUR - 1000);
    await lab.collect();
    expect(await packsOf(lab, 2)).toBe(1);
    lab.time.advance(1000);
    const { total, done } = await lab.collect();
    expect(done).toMatchObject({ removed: total.objects, bytes: total.bytes, left: [], next: null });
    expect(await packsOf(lab, 2)).toBe(0);
    expect(await packsOf(lab, 1)).toBe(1);
    await lab.mustHold();
    expect((await lab.check()).findings).toEqual([]);
  });

  test('objects of an undecided number stay, however old; once it is void they go', async () => {
    const { lab, disk } = await threePoints();
    disk.write(900, 100, 9);
    const { claim } = await lab.lab.prepare([disk]);
    lab.time.advance(1000 * HOUR);
    const { undecided } = await lab.collect();
    expect(undecided.objects).toBe(2);
    expect(await packsOf(lab, 4)).toBe(1);
    const now = lab.time.at;
    await voidClaim(lab.chain, { sequence: claim.sequence, by: 'test', now, because: 'stale' });
    await lab.collect();
    expect(await packsOf(lab, 4)).toBe(0);
  });

  test('the parent that an open claim names stays, also when it was removed long ago', async () => {
    const { lab, disk } = await threePoints();
    disk.write(900, 100, 9);
    const prepared = await lab.lab.prepare([disk]);
    await lab.remove(3);
    lab.time.advance(100 * HOUR);
    const { roots } = await lab.collect();
    expect(roots).toContainEqual({ sequence: 3, why: 'parent' });
    await lab.lab.commit(prepared);
    await lab.collect();
    await lab.mustHold();
    expect((await lab.check()).findings).toEqual([]);
  });

  test('what appeared after the list was made is not touched, and a point that was committed meanwhile is kept whole', async () => {
    const { lab, disk } = await threePoints();
    const list = lab.lab.data.list.bind(lab.lab.data);
    let fired = 0;
    lab.lab.data.list = async function* (prefix, options) {
      yield* list(prefix, options);
      if (prefix.endsWith('/packs/') && fired++ === 0) {
        await lab.remove(1);
        disk.write(500, 100, 11);
        await lab.lab.backup([disk], { reason: 'scheduled' });
      }
    };
    lab.time.advance(48 * HOUR);
    await lab.collect();
    expect(fired).toBeGreaterThan(0);
    await lab.mustHold();
    expect((await lab.check()).findings).toEqual([]);
  });

  test('claims of decided numbers go, the highest one stays; the number is never given again', async () => {
    const { lab, disk } = await threePoints();
    await lab.remove(3);
    lab.time.advance(48 * HOUR);
    await lab.collect();
    expect(await lab.names('meta', '.session')).toEqual([claimName(lab.chain.id, 3)]);
    expect((await readManifest(lab.chain, 3))?.manifest.state).toBe('void');
    const { claim } = await lab.lab.prepare([disk]);
    expect(claim.sequence).toBe(4);
    lab.time.advance(48 * HOUR);
    await lab.collect();
    expect(await readClaim(lab.chain, 3)).toBeNull();
    expect(await readClaim(lab.chain, 4)).not.toBeNull();
  });

  test('probes of the clock and leases that ended go', async () => {
    const { lab } = await threePoints();
    await lab.lab.meta.create('leases/time-0011', Buffer.alloc(0));
    await createLease(lab.chain.repository, { kind: 'reader', chain: lab.chain.id, sequence: 1, by: 'test' });
    lab.time.advance(2 * HOUR);
    await lab.collect();
    expect(await lab.names('meta', 'leases/')).toEqual([]);
  });
});

describe('what stops collection', () => {
  const damage: [string, (lab: CollectLab) => Promise<string>][] = [
    ['a missing manifest', async (lab) => lost(lab, 'meta', manifestName(lab.chain.id, 2))],
    ['an unauthentic manifest', async (lab) => flipped(lab, 'meta', manifestName(lab.chain.id, 2))],
    ['a missing tree', async (lab) => lost(lab, 'meta', '00000002.0000-001.tree')],
    ['an unauthentic tree', async (lab) => flipped(lab, 'meta', '00000002.0000-001.tree')],
    ['a missing map object', async (lab) => lost(lab, 'data', '00000002.0000.000000-001.map')],
    ['an unauthentic page', async (lab) => flipped(lab, 'data', '00000002.0000.000000-001.map')],
  ];
  test.each(damage)('%s, named', async (_, damageOne) => {
    const { lab } = await threePoints();
    await lab.remove(1);
    lab.time.advance(48 * HOUR);
    // Claims of decided numbers are gone, as after any earlier collection.
    await lab.collect();
    await lab.remove(3);
    lab.time.advance(48 * HOUR);
    const target = await damageOne(lab);
    await expect(planCollection(lab.chain)).rejects.toMatchObject({ target });
  });

  test('a lower highest number than the caller remembers', async () => {
    const { lab } = await threePoints();
    await expect(planCollection(lab.chain, { head: 4 })).rejects.toMatchObject({
      code: 'missingObject',
      target: manifestName(lab.chain.id, 4),
    });
    expect((await planCollection(lab.chain, { head: 3 })).roots).toHaveLength(3);
  });

  test('a missing pack does not: it is recorded', async () => {
    const { lab } = await threePoints();
    await lab.remove(2);
    lab.time.advance(48 * HOUR);
    const target = await lost(lab, 'data', '/packs/00000001-');
    const { damage: found } = await lab.collect();
    expect(found).toEqual([{ object: target, problem: 'is missing' }]);
    expect(await packsOf(lab, 2)).toBe(0);
  });

  test('a lease that cannot be read, until its hour is over', async () => {
    const { lab } = await threePoints();
    await lab.lab.meta.create('leases/abcd', Buffer.from('what?'));
    await expect(planCollection(lab.chain)).rejects.toMatchObject({ target: 'leases/abcd' });
    lab.time.advance(HOUR);
    await lab.collect();
    expect(await lab.names('meta', 'leases/')).toEqual([]);
  });
});

async function nameOf(lab: CollectLab, store: 'meta' | 'data', part: string): Promise<string> {
  const [name] = await lab.names(store, part);
  if (name === undefined) throw new Error(`no ${part}`);
  return name;
}

async function lost(lab: CollectLab, store: 'meta' | 'data', part: string): Promise<string> {
  const name = await nameOf(lab, store, part);
  await lab.lab[store].remove(name);
  return name;
}

async function flipped(lab: CollectLab, store: 'meta' | 'data', part: string): Promise<string> {
  const name = await nameOf(lab, store, part);
  const { bytes, etag } = await lab.lab[store].read(name);
  bytes[50] = (bytes[50] ?? 0) ^ 1;
  await lab.lab[store].replace(name, bytes, etag);
  return name;
}

describe('leases', () => {
  test('what a lease names stays while it is renewed, and goes an hour after its last renewal', async () => {
    const { lab, disk } = await threePoints();
    const { repository, id } = lab.chain;
    const { name } = await createLease(repository, { kind: 'reader', chain: id, sequence: 2, by: 'test' });
    const { manifest } = await readPoint(lab.chain, 2);
    const { content } = lab.snapshotOf(2, disk);
    await lab.remove(2);
    for (let i = 0; i < 40; i++) {
      lab.time.advance(50 * 60_000);
      await renewLease(repository, name);
    }
    const { roots } = await lab.collect();
    expect(roots).toContainEqual({ sequence: 2, why: 'lease' });
    expect((await lab.read(manifest, DISK)).equals(content)).toBe(true);
    lab.time.advance(HOUR);
    await lab.collect();
    expect(await packsOf(lab, 2)).toBe(0);
  });

  test('a lease that was silent for an hour cannot be renewed', async () => {
    const { lab } = await threePoints();
    const { repository, id } = lab.chain;
    const { name } = await createLease(repository, { kind: 'reader', chain: id, sequence: 1, by: 'test' });
    lab.time.advance(HOUR);
    await expect(renewLease(repository, name)).rejects.toMatchObject({ code: 'claimLost', target: name });
    await expect(renewLease(repository, name)).rejects.toMatchObject({ code: 'claimLost' });
    await releaseLease(repository, name);
  });

  test('a reader reads the manifest after it has its lease', async () => {
    const { lab } = await threePoints();
    const create = lab.lab.meta.create.bind(lab.lab.meta);
    let removed = false;
    lab.lab.meta.create = async (name, bytes, options) => {
      const version = await create(name, bytes, options);
      if (name.startsWith('leases/') && !removed) {
        removed = true;
        await lab.remove(2);
      }
      return version;
    };
    await expect(withLease(lab.chain, 2, { by: 'test' }, async () => 'read')).rejects.toMatchObject({
      code: 'missingObject',
    });
    expect(removed).toBe(true);
    expect(await lab.names('meta', 'leases/')).toEqual([]);
  });

  test('a lease is renewed while it is used, and let go at the end', async () => {
    const { lab } = await threePoints();
    const clock = new SteppedClock();
    const result = await withLease(lab.chain, 1, { by: 'test', clock }, async (manifest) => {
      await lab.remove(1);
      for (let i = 0; i < 60; i++) {
        lab.time.advance(40 * 60_000);
        await clock.step();
      }
      await lab.collect();
      return (await lab.read(manifest, DISK)).length;
    });
    expect(result).toBe(2600 * 512);
    expect(await lab.names('meta', 'leases/')).toEqual([]);
  });

  test('who loses its lease is told', async () => {
    const { lab } = await threePoints();
    const clock = new SteppedClock();
    const used = withLease(lab.chain, 1, { by: 'test', clock }, async (_, signal) => {
      lab.time.advance(2 * HOUR);
      await clock.step();
      if (!signal.aborted)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      signal.throwIfAborted();
    });
    await expect(used).rejects.toMatchObject({ code: 'claimLost' });
  });
});

/** Sleeps end when the test says so. */
class SteppedClock implements Clock {
  #wake: (() => void) | null = null;
  now(): Date {
    return systemClock.now();
  }
  sleep(_: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
  /** Ends the sleep, and waits until the sleeper sleeps again or has had its time. */
  async step(): Promise<void> {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
    for (let i = 0; i < 50 && !this.#wake; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('the fence', () => {
  async function planned() {
    const { lab } = await threePoints();
    await lab.remove(2);
    lab.time.advance(48 * HOUR);
    return { lab, plan: await planCollection(lab.chain) };
  }

  test('only the owner collects', async () => {
    const { lab, plan } = await planned();
    await expect(collect(lab.chain, plan, { installation: 'other' })).rejects.toMatchObject({
      code: 'notOwner',
    });
    expect(await packsOf(lab, 2)).toBe(1);
    expect(await lab.names('meta', 'leases/')).toEqual([]);
  });

  test('a plan ends with the ownership that it was made under, also when that came back', async () => {
    const { lab, plan } = await planned();
    for (const installation of ['other', OWNER])
      await takeOwnership(lab.chain.repository, { installation, now: lab.time.at, takeOver: true });
    await expect(collect(lab.chain, plan, { installation: OWNER })).rejects.toMatchObject({
      code: 'notOwner',
    });
    expect(await packsOf(lab, 2)).toBe(1);
  });

  test('a plan is not executed hours later', async () => {
    const { lab, plan } = await planned();
    lab.time.advance(7 * HOUR);
    await expect(collect(lab.chain, plan, { installation: OWNER })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await packsOf(lab, 2)).toBe(1);
  });

  test.each(['takeOver', 'sleep'])(
    'the owner and the own lease are looked at before each batch (%s)',
    async (interrupt) => {
      const { lab } = await threePoints();
      await lab.remove(2);
      for (let i = 0; i < 80; i++) await lab.lab.meta.create(`leases/time-${i}`, Buffer.alloc(0));
      lab.time.advance(48 * HOUR);
      const plan = await planCollection(lab.chain);
      const remove = lab.lab.data.remove.bind(lab.lab.data);
      let fired = false;
      lab.lab.data.remove = async (name, etag, options) => {
        await remove(name, etag, options);
        if (fired) return;
        fired = true;
        if (interrupt === 'sleep') lab.time.advance(2 * HOUR);
        else {
          const taking = { installation: 'other', now: lab.time.at, takeOver: true };
          await takeOwnership(lab.chain.repository, taking);
        }
      };
      await expect(collect(lab.chain, plan, { installation: OWNER })).rejects.toMatchObject({
        code: interrupt === 'sleep' ? 'claimLost' : 'notOwner',
      });
      expect(fired).toBe(true);
      expect((await lab.names('meta', 'leases/')).length).toBeGreaterThan(40);
      await lab.mustHold();
    },
  );

  test('a collector that sleeps inside a batch and wakes days later, after others collected and backed up, does no harm', async () => {
    const { lab, disk } = await threePoints();
    await lab.remove(2);
    lab.time.advance(48 * HOUR);
    const plan = await planCollection(lab.chain);
    const remove = lab.lab.data.remove.bind(lab.lab.data);
    let woke = false;
    lab.lab.data.remove = async (name, etag, options) => {
      if (!woke) {
        woke = true;
        await takeOwnership(lab.chain.repository, {
          installation: 'other',
          now: lab.time.at,
          takeOver: true,
        });
        disk.write(300, 60, 12);
        await lab.lab.backup([disk], { reason: 'scheduled' });
        await lab.remove(1);
        lab.time.advance(72 * HOUR);
        await lab.compact('other');
        await lab.collect('other');
        disk.write(20, 30, 13);
        await lab.lab.backup([disk]);
      }
      await remove(name, etag, options);
    };
    await collect(lab.chain, plan, { installation: OWNER }).catch(() => undefined);
    expect(woke).toBe(true);
    await lab.mustHold();
    expect((await lab.check()).findings).toEqual([]);
  });

  test('collection stops at the end of its time, goes on from there, and may be repeated', async () => {
    const { lab } = await threePoints();
    await lab.remove(2);
    for (let i = 0; i < 80; i++) await lab.lab.meta.create(`leases/time-${i}`, Buffer.alloc(0));
    lab.time.advance(48 * HOUR);
    const plan = await planCollection(lab.chain);
    let milliseconds = 0;
    const clock: Clock = { ...systemClock, now: () => new Date((milliseconds += 10)) };
    const steps: (number | null)[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const options = { installation: OWNER, clock, budgetMs: 15, from };
      ({ next: from } = await collect(lab.chain, plan, options));
      steps.push(from);
    }
    expect(steps.length).toBe(Math.ceil(plan.garbage.length / 32));
    expect((await collect(lab.chain, plan, { installation: OWNER })).removed).toBe(plan.garbage.length);
    expect((await planCollection(lab.chain)).garbage).toEqual([]);
    await lab.mustHold();
  });

  test('a plan is plain data, and says what it would free', async () => {
    const { plan } = await planned();
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
    expect(plan.total.bytes).toBe(plan.garbage.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(plan.garbage.filter(({ store }) => store === 'data').map(({ why }) => why)).toEqual(
      Array(2).fill('no restore point needs it'),
    );
  });
});
