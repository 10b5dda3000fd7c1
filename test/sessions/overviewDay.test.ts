import { beforeEach, describe, expect, it } from 'vitest';
import { settingsSchema } from '../../lib/installation/settings.ts';
import { policySchema, type Session, sessionId } from '../../lib/model/index.ts';
import { forgetSessions, readOverview } from '../../lib/sessions/index.ts';
import { sessionAt } from '../catalog/support.ts';
import { VirtualLab } from './virtual/lab.ts';

const HOUR_MS = 3_600_000;
const NOW = Date.parse('2026-03-20T12:00:00Z');

let lab: VirtualLab;
beforeEach(async () => {
  lab = await VirtualLab.start('2026-03-20T12:00:00Z');
});

/** A session that began so many hours ago and took so many seconds; null: it still runs. Returns its id. */
async function past(hoursAgo: number, seconds: number | null, over: Partial<Session> = {}): Promise<string> {
  const began = new Date(NOW - hoursAgo * HOUR_MS);
  const endedAt = seconds === null ? null : new Date(began.getTime() + seconds * 1000).toISOString();
  const made = sessionAt(
    { now: () => began, sleep: () => Promise.resolve() },
    {
      id: sessionId(began, JSON.stringify([hoursAgo, over])),
      status: endedAt === null ? 'running' : 'succeeded',
      touchedAt: endedAt ?? began.toISOString(),
      endedAt,
      ...over,
    },
  );
  expect(await lab.installation.catalog.sessions.create(made)).toBe(true);
  return made.id;
}

describe('the overview of a day', () => {
  it('counts what ended in it and what runs, names what failed, and compares the runs of each policy', async () => {
    const run = (policyId: string) =>
      ({ kind: 'policyRun', policyId, machineId: null, machineName: null }) as const;
    const error = { code: 'timeout', message: 'gone', retryable: true } as const;
    await past(30, 100, { status: 'failed', error });
    await past(26, 9000, run('steady'));
    await past(24.8, 60, { status: 'failed', error });
    await past(24.5, 3 * 3600, { waits: [{ kind: 'worker', times: 1, seconds: 90, since: null }] });
    for (const [hoursAgo, seconds] of [
      [20, 100],
      [12, 140],
      [4, 600],
    ] as const)
      await past(hoursAgo, seconds, run('growing'));
    await past(10, 60, run('steady'));
    const failed = await past(3, 60, { status: 'failed', error, policyId: 'growing' });
    await past(1, null);
    const { sessions, policies, bottlenecks } = await readOverview(lab.installation);
    expect(sessions).toEqual({
      running: 1,
      byKind: { backup: { succeeded: 1, failed: 1, running: 1 }, policyRun: { succeeded: 4 } },
      failed: [
        {
          id: failed,
          kind: 'backup',
          machineName: 'vm',
          policyId: 'growing',
          error,
          endedAt: '2026-03-20T09:01:00.000Z',
        },
      ],
      truncated: false,
    });
    expect(bottlenecks).toMatchObject([{ wait: 'worker', seconds: 90, sessions: 1 }]);
    expect(policies).toEqual([
      { policyId: 'growing', runs: 3, lastSeconds: 600, usualSeconds: 120 },
      { policyId: 'steady', runs: 1, lastSeconds: 60, usualSeconds: null },
    ]);
  });

  it('counts machines by their coverage, and shows what comes next in each region', async () => {
    lab.cloud.addMachine('here', 'West Europe', [1024 * 1024], {});
    lab.cloud.addMachine('there', 'eastus', [1024 * 1024], {});
    const stray = lab.cloud.addMachine('stray', 'eastus', [1024 * 1024], {}).machine;
    await lab.installation.catalog.policies.put(
      policySchema.parse({
        id: 'daily',
        scope: { machines: ['here', 'there'] },
        calendar: { timeZone: 'region', schedules: [{ every: 'day', at: ['22:00'] }] },
      }),
    );
    const { coverage, attention, upcoming } = await readOverview(lab.installation);
    expect(coverage).toEqual({ protected: 0, late: 0, waiting: 2, none: 1 });
    expect(attention).toMatchObject([
      { machineId: stray.id, machineName: 'stray', policyId: null, state: 'none' },
    ]);
    expect(upcoming.slice(0, 3)).toMatchObject([
      { at: '2026-03-20T21:00:00.000Z', policyId: 'daily', region: 'westeurope', flags: ['daily'] },
      { at: '2026-03-21T02:00:00.000Z', policyId: 'daily', region: 'eastus', makes: 'backup' },
      { at: '2026-03-21T21:00:00.000Z', policyId: 'daily', region: 'westeurope' },
    ]);
  });
});

describe('how long sessions are kept', () => {
  it.each([
    ['0', []],
    ['1', ['old', 'older']],
    ['30', ['older']],
    [undefined, []],
  ] as const)('HOLDFAST_SESSION_DAYS of %s: 0 keeps all, usual are 90 days', async (text, expected) => {
    const ids = {
      older: await past(24 * 40, 60),
      old: await past(24 * 20, 60),
      // Begun long ago, ended today.
      long: await past(30, 29 * 3600),
      running: await past(24 * 50, null),
    };
    const days = settingsSchema.shape.HOLDFAST_SESSION_DAYS.parse(text);
    const settings = { ...lab.installation.settings, HOLDFAST_SESSION_DAYS: days };
    const done = await forgetSessions({ ...lab.installation, settings }, 60_000);
    expect(done).toMatchObject({ sessions: expected.length, complete: true });
    const { sessions } = await lab.installation.catalog.sessions.list({ limit: 200 });
    const left = new Set(sessions.map(({ id }) => id));
    const gone = Object.entries(ids).flatMap(([name, id]) => (left.has(id) ? [] : [name]));
    expect(gone.toSorted()).toEqual(expected);
  });
});
