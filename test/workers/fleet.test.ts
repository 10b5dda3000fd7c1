import { describe, expect, it } from 'vitest';
import { memoryCatalog } from '../../lib/catalog/catalog.ts';
import type { Failure } from '../../lib/model/index.ts';
import { admission } from '../../lib/workers/admission.ts';
import { Fleet } from '../../lib/workers/fleet.ts';
import { READY_MS, type WorkerPool } from '../../lib/workers/pool.ts';
import { identify } from '../../lib/workers/workerToken.ts';
import { sessionIds, TestClock } from '../catalog/support.ts';
import { FakeMachines } from './fakeMachines.ts';

const [a = '', b = '', c = '', d = ''] = sessionIds(4);
const noRoom: Failure = {
  code: 'capacityUnavailable',
  message: 'AllocationFailed: no room',
  retryable: true,
};
const noQuota: Failure = { code: 'quotaExceeded', message: 'quota of cores', retryable: false };

const pool: WorkerPool = {
  name: 'west',
  location: 'westeurope',
  max: 2,
  min: 1,
  ladder: [
    { size: 'big', zone: '1' },
    { size: 'small', zone: null },
    { size: 'far', zone: null, location: 'northeurope' },
  ],
};

function open() {
  const clock = new TestClock();
  const catalog = memoryCatalog(clock);
  const machines = new FakeMachines();
  const settings = { prefix: 'hf', customData: '#cloud-config', tags: { owner: 'me' } };
  const fleet = new Fleet(catalog, machines, clock, settings);
  /** The VM's program calls the app for the first time. */
  const report = async (slot = 0) => {
    const row = await catalog.workers.get('west', slot);
    if (row?.value.principalId)
      await fleet.seen(await identify(catalog.workers, { oid: row.value.principalId, tid: 't' }));
  };
  const launch = async (session: string, slot = 0) => {
    expect(await fleet.acquire(session, pool)).toMatchObject({ wait: false, worker: { slot } });
    await fleet.watch(session, pool);
    machines.settle();
    await fleet.watch(session, pool);
    await report(slot);
    return fleet.watch(session, pool);
  };
  const release = async (session: string) => {
    let { done } = await fleet.release(session, pool);
    for (let n = 0; n < 5 && !done; n++) {
      machines.settle();
      ({ done } = await fleet.watchRelease(session, pool));
    }
    return done;
  };
  return { clock, catalog, machines, fleet, report, launch, release };
}

describe('the fleet', () => {
  it('a session gets one slot, however often it asks, and the intent is written first', async () => {
    const { fleet, catalog, machines } = open();
    const first = await fleet.acquire(a, pool);
    expect(await fleet.acquire(a, pool)).toEqual(first);
    expect(first).toMatchObject({
      wait: false,
      worker: { slot: 0, generation: 1, state: 'starting', holder: a },
    });
    expect((await catalog.intents.list(a, 'worker')).map(({ key }) => key)).toEqual(['west/0']);
    expect(machines.calls).toEqual([]);
  });

  it('a worker is ready when it has called, and known by its identity', async () => {
    const { fleet, catalog, machines, report } = open();
    await fleet.acquire(a, pool);
    await expect(identify(catalog.workers, { oid: 'oid-hf-west-0-1', tid: 't' })).rejects.toMatchObject({
      code: 'unauthorized',
    });
    expect(await fleet.watch(a, pool)).toMatchObject({ state: 'starting' });
    machines.settle();
    expect(await fleet.watch(a, pool)).toMatchObject({
      state: 'starting',
      worker: { principalId: 'oid-hf-west-0-1' },
    });
    await report();
    expect(await fleet.watch(a, pool)).toMatchObject({
      state: 'ready',
      worker: { size: 'big', location: 'westeurope' },
    });
    expect(machines.calls).toEqual(['create hf-west-0-1 big']);
    expect(machines.vms.get('hf-west-0-1')?.request).toMatchObject({
      zone: '1',
      customData: '#cloud-config',
      tags: { owner: 'me', 'holdfast-pool': 'west', 'holdfast-slot': '0' },
    });
  });

  it('when none is free the session waits, and is told for whom', async () => {
    const { fleet, release, launch } = open();
    await launch(a, 0);
    await launch(b, 1);
    expect(await fleet.acquire(c, pool)).toEqual({ wait: true, reason: expect.stringContaining(a) });
    expect(await release(a)).toBe(true);
    expect(await fleet.acquire(c, pool)).toMatchObject({ wait: false });
  });

  it('a slot whose session ended before its VM was at rest is freed by who waits for one', async () => {
    const { fleet, catalog, machines, launch } = open();
    await launch(a);
    await launch(b, 1);
    for (const session of [a, b]) expect(await fleet.release(session, pool)).toEqual({ done: false });
    // Nobody watches the releases, and no sweep comes.
    expect(await fleet.acquire(c, pool)).toMatchObject({ wait: true });
    machines.settle();
    const looks = [await fleet.acquire(c, pool), await fleet.acquire(c, pool)];
    expect(looks.map(({ wait }) => wait)).toEqual([true, false]);
    expect((await catalog.workers.list('west')).map(({ value }) => value.holder)).toEqual([c, null]);
    expect(machines.calls.filter((call) => call.startsWith('deallocate'))).toHaveLength(1);
  });

  it('sessions that ask at once get different slots', async () => {
    const { fleet, catalog } = open();
    const answers = await Promise.all([a, b, c, d].map((session) => fleet.acquire(session, pool)));
    expect(answers.filter(({ wait }) => !wait)).toHaveLength(2);
    const held = (await catalog.workers.list('west')).map(({ value }) => value.holder);
    expect(new Set(held).size).toBe(2);
    expect(new Set(await catalog.intents.sessions())).toEqual(new Set(held));
  });

  it('a VM is kept deallocated up to min, and started again, known by the same identity', async () => {
    const { fleet, catalog, machines, launch, release } = open();
    await launch(a, 0);
    await launch(b, 1);
    expect(await release(a)).toBe(true);
    expect(await release(b)).toBe(true);
    expect(machines.names()).toEqual(['hf-west-0-1']);
    expect(await catalog.intents.sessions()).toEqual([]);
    expect(
      (await catalog.workers.list()).map(({ value }) => [value.state, value.vmState, value.principalId]),
    ).toEqual([
      ['free', 'deallocated', 'oid-hf-west-0-1'],
      ['free', 'none', null],
    ]);
    machines.calls.length = 0;
    expect(await launch(c, 0)).toMatchObject({ state: 'ready' });
    expect(machines.calls).toEqual(['start hf-west-0-1']);
    expect(await fleet.acquire(d, pool)).toMatchObject({ worker: { slot: 1, generation: 2 } });
  });

  it('where there is no room the next step of the ladder is tried, and the reasons are kept', async () => {
    const { fleet, machines } = open();
    machines.refused.set('big', noRoom);
    machines.failing.set('small', noQuota);
    await fleet.acquire(a, pool);
    await fleet.watch(a, pool);
    await fleet.watch(a, pool);
    machines.settle();
    await fleet.watch(a, pool);
    expect(await fleet.watch(a, pool)).toMatchObject({
      state: 'starting',
      worker: { generation: 3, rung: 2, location: 'northeurope', reasons: [noRoom.message, noQuota.message] },
    });
    machines.settle();
    expect(machines.names()).toEqual(['hf-west-0-3']);
    expect(machines.calls.filter((call) => call.startsWith('create'))).toEqual([
      'create hf-west-0-1 big',
      'create hf-west-0-2 small',
      'create hf-west-0-3 far',
    ]);
  });

  it('at the end of the ladder the launch fails with every reason, and the slot can be given back', async () => {
    const { fleet, machines, catalog, release } = open();
    for (const size of ['big', 'small', 'far'])
      machines.refused.set(size, { ...noRoom, message: `no ${size}` });
    await fleet.acquire(a, pool);
    for (let n = 0; n < 3; n++) await fleet.watch(a, pool);
    expect(await fleet.watch(a, pool)).toMatchObject({
      state: 'failed',
      failure: {
        code: 'capacityUnavailable',
        retryable: true,
        message: expect.stringContaining('no big; no small; no far'),
      },
    });
    expect(await release(a)).toBe(true);
    expect((await catalog.workers.list())[0]?.value).toMatchObject({
      state: 'free',
      vmState: 'none',
      holder: null,
    });
  });

  it('a kept VM that cannot be started is replaced', async () => {
    const { machines, launch, release } = open();
    await launch(a);
    await release(a);
    machines.startRefusal = noRoom;
    expect(await launch(b)).toMatchObject({
      state: 'ready',
      worker: { generation: 2, rung: 0, reasons: [noRoom.message] },
    });
    expect(machines.calls.slice(-3)).toEqual([
      'start hf-west-0-1',
      'remove hf-west-0-1',
      'create hf-west-0-2 big',
    ]);
    expect(machines.names()).toEqual(['hf-west-0-2']);
  });

  it('a worker that does not report in five minutes is replaced, three times', async () => {
    const { clock, fleet, machines } = open();
    await fleet.acquire(a, pool);
    for (let generation = 1; generation <= 4; generation++) {
      await fleet.watch(a, pool);
      machines.settle();
      expect(await fleet.watch(a, pool)).toMatchObject({ state: 'starting', worker: { generation } });
      expect(machines.names()).toEqual([`hf-west-0-${generation}`]);
      clock.pass(READY_MS);
      await fleet.watch(a, pool);
    }
    expect(await fleet.watch(a, pool)).toMatchObject({
      state: 'failed',
      failure: { code: 'workerNotReady' },
    });
  });

  it('a worker that falls silent in the middle of work is replaced, and its successor is another identity', async () => {
    const { clock, catalog, fleet, machines, launch, report } = open();
    await launch(a);
    clock.pass(READY_MS - 1);
    await report();
    clock.pass(READY_MS - 1);
    expect(await fleet.watch(a, pool)).toMatchObject({ state: 'ready' });
    clock.pass(1);
    expect(await fleet.watch(a, pool)).toMatchObject({ state: 'starting', worker: { generation: 2 } });
    await expect(identify(catalog.workers, { oid: 'oid-hf-west-0-1', tid: 't' })).rejects.toMatchObject({
      code: 'unauthorized',
    });
    await fleet.watch(a, pool);
    machines.settle();
    expect(machines.names()).toEqual(['hf-west-0-2']);
  });

  it('a launch that died between the call and the row is taken up by the next', async () => {
    const { fleet, machines, catalog } = open();
    await fleet.acquire(a, pool);
    const replace = catalog.workers.replace.bind(catalog.workers);
    let died = 0;
    catalog.workers.replace = () => {
      died++;
      return Promise.reject(new Error('the process ended'));
    };
    await expect(fleet.watch(a, pool)).rejects.toThrow('ended');
    catalog.workers.replace = replace;
    await fleet.watch(a, pool);
    machines.settle();
    expect(machines.names()).toEqual(['hf-west-0-1']);
    expect(died).toBe(1);
  });

  it('a release in the middle of a launch deletes the VM, and the session ends without intents', async () => {
    const { fleet, machines, catalog, release } = open();
    await fleet.acquire(a, pool);
    await fleet.watch(a, pool);
    expect(await release(a)).toBe(true);
    expect(machines.names()).toEqual([]);
    expect(await catalog.intents.sessions()).toEqual([]);
    expect(await fleet.release(a, pool)).toEqual({ done: true });
  });

  it('a VM that does not come to rest is deleted', async () => {
    const { clock, fleet, machines, launch } = open();
    await launch(a);
    expect(await fleet.release(a, pool)).toEqual({ done: false });
    clock.pass(11 * 60_000);
    await fleet.watchRelease(a, pool);
    machines.settle();
    expect(machines.calls).toContain('remove hf-west-0-1');
    await fleet.watchRelease(a, pool);
    machines.settle();
    expect(await fleet.watchRelease(a, pool)).toEqual({ done: true });
  });

  it('the sweep deletes VMs that no row names, and kept ones beyond min', async () => {
    const { fleet, machines, launch, release } = open();
    await launch(a, 0);
    await release(a);
    await machines.create({
      name: 'hf-west-7-9',
      location: 'x',
      size: 'big',
      zone: null,
      customData: '',
      tags: {},
    });
    machines.settle();
    expect(await fleet.removeStrangers()).toEqual(['hf-west-7-9']);
    expect(await fleet.removeStrangers()).toEqual([]);
    expect(await fleet.trim(pool)).toEqual([]);
    expect(await fleet.trim({ ...pool, min: 0 })).toEqual(['hf-west-0-1']);
    machines.settle();
    await fleet.trim({ ...pool, min: 0 });
    expect(machines.names()).toEqual([]);
    expect(await fleet.trim({ ...pool, min: 0 })).toEqual([]);
  });

  it('a pool whose VMs could not be named is refused', async () => {
    const { fleet } = open();
    for (const wrong of [
      { name: 'West' },
      { ladder: [] },
      { max: 0 },
      { min: 5 },
      { name: 'x'.repeat(41) },
    ]) {
      await expect(fleet.acquire(a, { ...pool, ...wrong })).rejects.toMatchObject({ code: 'invalidInput' });
    }
  });

  it('a worker of another version, or one that is released, is drained; one without a session waits', async () => {
    const { catalog, launch, release } = open();
    await launch(a);
    const row = async () => {
      const [first] = await catalog.workers.list();
      if (!first) throw new Error('no row');
      return first.value;
    };
    expect(admission(await row(), 1)).toEqual({ kind: 'work', sessionId: a });
    expect(admission(await row(), 2)).toEqual({ kind: 'drain' });
    expect(admission({ ...(await row()), state: 'releasing' }, 1)).toEqual({ kind: 'drain' });
    await release(a);
    expect(admission(await row(), 1)).toEqual({ kind: 'idle' });
  });
});
