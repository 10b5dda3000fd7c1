import { InvocationContext } from '@azure/functions';
import { Cron } from 'croner';
import { beforeEach, expect, test, vi } from 'vitest';
import { type PolicyInput, policySchema, protectionSchema } from '../../lib/model/index.ts';
import { requestBackup } from '../../lib/sessions/index.ts';
import { VirtualLab } from '../sessions/virtual/lab.ts';

/** What the app does by itself, by the handlers that it registers as timers. */
interface Timer {
  readonly schedule: string;
  readonly handler: (timer: object, context: InvocationContext) => Promise<void>;
}
const MINUTE = 60_000;
const DAY = 86_400_000;

let lab: VirtualLab;
let timers: Map<string, Timer>;
beforeEach(async () => {
  lab = await VirtualLab.start('2026-03-02T00:00:00Z');
  timers = new Map();
  vi.resetModules();
  vi.doMock('@azure/functions', async (original) => ({
    ...(await original<object>()),
    app: { http: () => undefined, timer: (name: string, timer: Timer) => timers.set(name, timer) },
  }));
  vi.doMock('durable-functions', () => ({
    input: { durableClient: () => ({}) },
    getClient: () => ({}),
  }));
  vi.doMock('../../activities/instances.ts', () => ({ durableInstances: () => lab.instances }));
  vi.doMock('../../lib/installation/index.ts', async (original) => ({
    ...(await original<object>()),
    openInstallation: () => Promise.resolve(lab.installation),
  }));
});

async function timerOf(file: string): Promise<Timer> {
  await import(`../../functions/${file}.ts`);
  const timer = timers.get(file);
  if (!timer) throw new Error(`functions/${file}.ts registers no timer ${file}.`);
  return timer;
}
const fire = ({ handler }: Timer) => handler({}, new InvocationContext());

/** How long it is from one time of a timer to the next, over some of them. */
function pausesOf({ schedule }: Timer): Set<number> {
  const times = new Cron(schedule, { timezone: 'UTC' }).nextRuns(10, lab.clock.now());
  return new Set(times.slice(1).map((at, i) => at.getTime() - (times[i]?.getTime() ?? 0)));
}
const put = (policy: Omit<PolicyInput, 'id'>) =>
  lab.installation.catalog.policies.put(policySchema.parse({ id: 'p', mover: 'inline', ...policy }));

test('once a day what no rule keeps goes, of machines that are gone and in no policy too', async () => {
  const timer = await timerOf('retention');
  expect(pausesOf(timer)).toEqual(new Set([DAY]));
  const { machine, disks } = lab.cloud.addMachine('gone', 'westeurope', [1024 * 1024], {});
  disks[0]?.write(3, 7);
  await requestBackup(lab.installation, lab.instances, {
    machine,
    protection: protectionSchema.parse({
      mover: 'inline',
      retention: { keep: { daily: { days: 2 } }, keepLast: false },
    }),
    reason: 'test',
    policyId: null,
    parentId: null,
  });
  await lab.finish();
  lab.cloud.deleteMachine('gone');
  const left: number[] = [];
  for (let day = 1; day <= 3; day++) {
    await lab.passTo(new Date(Date.UTC(2026, 2, 2 + day, 2, 37)));
    await fire(timer);
    // While one is at it, a second start is none.
    await fire(timer);
    await lab.finish();
    left.push((await lab.installation.catalog.points.listMachine(machine.id)).length);
  }
  expect(left).toEqual([1, 0, 0]);
  const { sessions } = await lab.installation.catalog.sessions.list({ kind: 'retention', limit: 50 });
  expect(sessions.filter(({ reason }) => reason === 'daily')).toHaveLength(3);
});

test('a machine that appears is seen within five minutes, and is in the next run of its policy', async () => {
  const timer = await timerOf('schedule');
  expect(pausesOf(timer)).toEqual(new Set([MINUTE]));
  await put({
    scope: { tags: [{ key: 'backup', value: 'yes' }] },
    calendar: { schedules: [{ every: 'day', at: ['00:30'] }] },
  });
  const minutes = async (from: number, to: number) => {
    for (let minute = from; minute <= to; minute++) {
      await lab.passTo(new Date(Date.UTC(2026, 2, 2, 0, minute)));
      await fire(timer);
    }
  };
  lab.cloud.addMachine('old', 'westeurope', [1024 * 1024], {});
  await minutes(0, 2);
  const { machine, disks } = lab.cloud.addMachine('new', 'westeurope', [1024 * 1024], { backup: 'yes' });
  disks[0]?.write(3, 7);
  const told = () =>
    lab.telemetry
      .of('holdfast.machine.coverage')
      .filter(({ machineId }) => machineId === machine.id)
      .map(({ state, policyId }) => [state, policyId]);
  await minutes(3, 7);
  expect(told()).toEqual([['waiting', 'p']]);
  await minutes(8, 32);
  await lab.finish();
  expect(await lab.installation.catalog.points.listMachine(machine.id)).toHaveLength(1);
});
