import { beforeEach, describe, expect, test } from 'vitest';
import { planRetention, type RetentionPoint } from '../../lib/chain/index.ts';
import {
  type Clock,
  type Disk,
  type Flag,
  HoldfastError,
  joinFlags,
  type Machine,
  type Policy,
  type PolicyInput,
  policySchema,
  type RestorePoint,
} from '../../lib/model/index.ts';
import { slaCalendar, slotsAfter } from '../../lib/schedule/index.ts';
import { assignMachines, leaveOutDisks, placesOf } from '../../lib/scope/index.ts';
import type { SessionAnswer } from '../../local/api.ts';
import { DEMO_POLICIES } from '../../local/demo/policies.ts';
import { machinesBehind, protectDemo } from '../../local/demo/protection.ts';
import { DEMO, DEMO_MACHINES } from '../../local/demo/subscription.ts';

const policies = DEMO_POLICIES.map((policy) => policySchema.parse(policy));
const policyOf = (id: string): Policy => {
  const found = policies.find((policy) => policy.id === id);
  if (!found) throw new Error(`There is no policy ${id}.`);
  return found;
};
const machines = DEMO_MACHINES.map(
  ({ name, tags }): Machine => ({
    id: name,
    armId: `/subscriptions/${DEMO.subscriptionId}/resourceGroups/${DEMO.resourceGroup}/providers/Microsoft.Compute/virtualMachines/${name}`,
    name,
    subscriptionId: DEMO.subscriptionId,
    resourceGroup: DEMO.resourceGroup,
    location: DEMO.location,
    powerState: 'running',
    tags: { ...tags },
  }),
);

describe('the demo policies', () => {
  test('share the machines: one that both name belongs to the one with the SLA', () => {
    const assigned = assignMachines(policies, machines, placesOf([DEMO.subscriptionId]));
    expect(
      Object.fromEntries(
        [...assigned].map(([id, { policyId, passedOver }]) => [id, [policyId, ...passedOver]]),
      ),
    ).toEqual({ 'web-1': ['shop'], 'app-1': ['shop'], 'db-1': ['orders', 'shop'], 'old-1': ['shop'] });
  });

  test('leave out one disk', () => {
    const { disks: only, exclude } = policyOf('orders').scope;
    const rules = { onlyDisks: only, excludeDisks: exclude.disks };
    const left = machines.flatMap((machine) => {
      const disks = DEMO_MACHINES.find(({ name }) => name === machine.name)?.disks ?? [];
      const asDisks = disks.map(({ name, lun, sizeBytes }) => ({
        name,
        lun,
        sizeBytes,
        role: lun === null ? 'os' : 'data',
      })) as unknown as Disk[];
      return leaveOutDisks(rules, machine, asDisks).leftOut.map(({ disk }) => disk.name);
    });
    expect(left).toEqual(['db-1-archive']);
  });

  test.each(['shop', 'orders'])(
    '%s shows several flags on a point, flags that come off, and points that go, within half an hour',
    (id) => {
      const policy = policyOf(id);
      const calendar = policy.calendar ?? (policy.sla && slaCalendar({ ...policy.sla, timeZone: 'UTC' }));
      if (!calendar) throw new Error(`${id} has no schedule.`);
      const start = new Date('2026-11-22T03:01:00Z');
      const end = new Date(start.getTime() + 30 * 60_000);
      const point = (sequence: number, takenAt: Date, flags: readonly Flag[]): RetentionPoint => ({
        sequence,
        takenAt: takenAt.toISOString(),
        retention: { flags: [...flags], rules: policy.retention, hold: null, expiresAt: null },
        damaged: false,
      });
      // The two that `npm start` makes at once.
      let points = [point(2, start, ['daily']), point(1, start, ['daily'])];
      const seen = { both: 0, dropped: 0, gone: 0, firstGone: 0 };
      let sequence = 2;
      for (const { at, backupFlags } of slotsAfter(calendar, start)) {
        if (at >= end) break;
        points = [point(++sequence, at, backupFlags), ...points];
        if (joinFlags(backupFlags).length > 1) seen.both++;
        const decisions = planRetention(points, policy.retention, at);
        const gone = decisions.filter(({ keep }) => !keep);
        expect(gone.map(({ why }) => why).filter((why) => !/ended: older than the newest/.test(why))).toEqual(
          [],
        );
        if (gone.length > 0) seen.firstGone ||= (at.getTime() - start.getTime()) / 60_000;
        seen.gone += gone.length;
        const kept = decisions.filter(({ keep }) => keep);
        seen.dropped += kept.filter(({ dropped }) => dropped.length > 0).length;
        points = kept.map(({ item, flags }) => ({
          ...item,
          retention: { ...item.retention, flags: [...flags] },
        }));
      }
      expect(seen.both).toBeGreaterThanOrEqual(3);
      expect(seen.dropped).toBeGreaterThanOrEqual(1);
      expect(seen.gone).toBeGreaterThanOrEqual(3);
      expect(seen.firstGone).toBeLessThanOrEqual(10);
    },
  );
});

describe('npm start', () => {
  let now = 0;
  let calls: string[];
  let stored: Map<string, PolicyInput>;
  let points: RestorePoint[];
  /** Starts that the next calls are refused, as while a schedule's run is under way. */
  let busy: { policy: number; machine: number };
  const said: string[] = [];
  const clock: Clock = {
    now: () => new Date(now),
    sleep: (ms) => {
      now += ms;
      return Promise.resolve();
    },
  };
  const conflict = (): never => {
    throw new HoldfastError('conflict', 'It runs already.');
  };
  const back = (machineName: string): void => {
    const sequence = points.filter((point) => point.machineName === machineName).length + 1;
    points.unshift({ chainId: machineName, machineName, sequence } as RestorePoint);
  };
  const api: Parameters<typeof protectDemo>[0] = {
    policy: (id) => Promise.resolve(stored.has(id) ? policySchema.parse(stored.get(id)) : undefined),
    putPolicy: (policy) => {
      calls.push(`put ${policy.id}`);
      stored.set(policy.id, policy);
      return Promise.resolve();
    },
    points: (machine) => Promise.resolve(points.filter((one) => !machine || one.machineName === machine)),
    startPolicy: async (id) => {
      await Promise.resolve();
      calls.push(`start ${id}`);
      if (busy.policy-- > 0) conflict();
      return `run of ${id}`;
    },
    sessions: (filter) => {
      calls.push(`look for ${filter?.['policy']}`);
      return Promise.resolve([{ id: `run of ${filter?.['policy']}` } as SessionAnswer]);
    },
    wait: (id) => {
      for (const name of id.endsWith('shop') ? ['web-1', 'app-1', 'old-1'] : ['db-1']) back(name);
      return Promise.resolve({ id } as SessionAnswer);
    },
    holdPoint: (name) => Promise.resolve(void calls.push(`hold ${name}`)),
    startBackup: async ({ machine, expiresAt }) => {
      await Promise.resolve();
      if (busy.machine-- > 0) conflict();
      calls.push(`back up ${machine} until ${expiresAt}`);
      return 'manual';
    },
  };
  const guests = { turn: () => Promise.resolve(calls.push('guests write')) };
  const start = (): Promise<void> =>
    protectDemo(api, guests, clock, new AbortController().signal, (line) => said.push(line));

  beforeEach(() => {
    now = 0;
    calls = [];
    stored = new Map();
    points = [];
    busy = { policy: 0, machine: 0 };
    said.length = 0;
  });

  test('runs both policies twice with changes in between, then holds a point and makes one that expires', async () => {
    await start();
    expect(calls).toEqual([
      'put shop',
      'put orders',
      'start shop',
      'start orders',
      'guests write',
      'start shop',
      'start orders',
      'hold app-1/1',
      'back up web-1 until 1970-01-01T00:15:00.000Z',
    ]);
    expect(machinesBehind(points, 2)).toEqual([]);
    expect(said).toEqual([]);
  });

  test('the second time it leaves the policies as people made them, and does nothing by hand', async () => {
    await start();
    stored.set('shop', { ...policyOf('shop'), enabled: false });
    calls = [];
    await start();
    expect(calls).toEqual([]);
    points = points.filter(({ machineName, sequence }) => machineName !== 'db-1' || sequence === 1);
    await start();
    expect(calls).toEqual(['guests write', 'start shop', 'start orders']);
    expect(stored.get('shop')).toMatchObject({ enabled: false });
  });

  test('waits for the run of a schedule that was quicker, and tries the backup by hand again', async () => {
    busy = { policy: 1, machine: 2 };
    await start();
    expect(calls.filter((call) => call.startsWith('look'))).toEqual(['look for shop']);
    expect(calls.at(-1)).toBe('back up web-1 until 1970-01-01T00:15:10.000Z');
    expect(said).toEqual([]);
  });

  test('says which machines are behind when runs bring nothing, and does not act by hand then', async () => {
    const { wait } = api;
    await protectDemo(
      {
        ...api,
        wait: (id, ...rest) =>
          id.endsWith('shop') ? wait(id, ...rest) : Promise.resolve({ id } as SessionAnswer),
      },
      guests,
      clock,
      new AbortController().signal,
      (line) => said.push(line),
    );
    expect(said).toEqual([expect.stringMatching(/^db-1: fewer than two restore points yet/)]);
    expect(calls.some((call) => call.startsWith('hold') || call.startsWith('back up'))).toBe(false);
  });
});
