import { InvocationContext, type Timer } from '@azure/functions';
import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { parseSchedule } from '../../local/functions-host/ncrontab.ts';
import { VirtualLab } from '../sessions/virtual/lab.ts';

interface Registered {
  readonly schedule: string;
  readonly handler: (timer: Timer, context: InvocationContext) => Promise<void>;
}

/** The timers of the app, in this process, on an installation over memory. What a host does is for test/functions-host. */
const timers = new Map<string, Registered>();
let lab: VirtualLab;
beforeAll(async () => {
  vi.doMock('@azure/functions', async (original) => ({
    ...(await original<object>()),
    app: {
      http: () => undefined,
      timer: (name: string, options: Registered) => timers.set(name, options),
    },
  }));
  vi.doMock('durable-functions', () => ({
    input: { durableClient: () => ({}) },
    getClient: () => ({}),
  }));
  // What is started goes on for ever.
  vi.doMock('../../activities/instances.ts', () => ({
    durableInstances: () => ({ ...lab.instances, start: () => Promise.resolve() }),
  }));
  vi.doMock('../../lib/installation/index.ts', async (original) => ({
    ...(await original<object>()),
    openInstallation: () => Promise.resolve(lab.installation),
  }));
  for (const file of ['retention', 'snapshots']) await import(`../../functions/${file}.ts`);
});
beforeEach(async () => {
  lab = await VirtualLab.start('2026-03-01T12:00:00Z');
});

test.each([
  ['retention', 'retention'],
  ['snapshotRetention', 'snapshotRetention'],
] as const)('timer %s starts a session of its own of all machines, once a day', async (name, kind) => {
  const timer = timers.get(name);
  if (!timer) throw new Error(`There is no timer ${name}.`);
  const fire = () => timer.handler({} as Timer, new InvocationContext());
  const { next } = parseSchedule(timer.schedule);
  const first = next(new Date('2026-03-01T00:00:00Z')).getTime();
  expect([first < Date.parse('2026-03-02T00:00:00Z'), next(new Date(first)).getTime() - first]).toEqual([
    true,
    86_400_000,
  ]);

  await fire();
  // It is still at it: neither another one nor a failure.
  await fire();
  const { sessions } = await lab.installation.catalog.sessions.list({ limit: 50 });
  expect(
    sessions.map((session) => [session.kind, session.reason, session.machineId, session.status]),
  ).toEqual([[kind, 'daily', null, 'running']]);
});
