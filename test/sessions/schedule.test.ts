import { beforeEach, describe, expect, it } from 'vitest';
import { type PolicyInput, policySchema, type Session } from '../../lib/model/index.ts';
import {
  complianceOf,
  readState,
  requestPolicyRun,
  tellCompliance,
  tickSchedules,
} from '../../lib/sessions/index.ts';
import { VirtualLab } from './virtual/lab.ts';

const MINUTE = 60_000;

let lab: VirtualLab;
beforeEach(async () => {
  lab = await VirtualLab.start('2026-03-02T00:00:00Z');
});

const add = (name: string, location = 'westeurope') => {
  const made = lab.cloud.addMachine(name, location, [1024 * 1024], {});
  made.disks[0]?.write(3, 7);
  return made.machine;
};

const put = async (policy: Omit<PolicyInput, 'id' | 'scope'>): Promise<void> => {
  const parsed = policySchema.parse({ id: 'p', scope: { all: true }, mover: 'inline', ...policy });
  await lab.installation.catalog.policies.put(parsed);
};

/** Lets time pass, with a tick every so many minutes. */
async function passTo(text: string, every = 5): Promise<void> {
  for (let at = lab.clock.now().getTime(); at <= Date.parse(text); at += every * MINUTE) {
    await lab.passTo(new Date(at));
    expect((await tickSchedules(lab.installation, lab.instances)).failures).toEqual([]);
  }
  await lab.passTo(new Date(text));
}

const outage = (text: string) => lab.passTo(new Date(text));

async function sessions(kind: Session['kind']): Promise<Session[]> {
  const { sessions: found } = await lab.installation.catalog.sessions.list({ limit: 200 });
  return found.filter((session) => session.kind === kind).reverse();
}

const points = async (id: string): Promise<string[]> =>
  (await lab.installation.catalog.points.listMachine(id)).map(
    ({ point, retention }) => `${point.takenAt.slice(5, 16)} ${retention.flags.join('+')}`,
  );

const daily = { every: 'day' as const, at: ['07:00'] };
const weekly = { every: 'week' as const, at: ['07:00'], days: ['monday' as const] };

describe('the scheduler', () => {
  it('gives points the flags of all schedules that meet, and makes snapshots alone where that is asked', async () => {
    const { id } = add('one');
    await put({
      calendar: { schedules: [daily, weekly, { every: 'day', at: ['12:00'], makes: 'snapshot' }] },
      snapshots: { retention: { keep: { daily: { points: 9 } } } },
    });
    await passTo('2026-03-03T13:00:00Z', 15);
    expect(await points(id)).toEqual(['03-02T07:00 daily+weekly', '03-03T07:00 daily']);
    expect(
      (await sessions('snapshot')).map(({ status, startedAt }) => [status, startedAt.slice(5, 16)]),
    ).toEqual([
      ['succeeded', '03-02T12:00'],
      ['succeeded', '03-03T12:00'],
    ]);
    expect(lab.cloud.snapshots.size).toBe(4);
  });

  it('sends each backup to the repository that the policy names for the flags of its schedule', async () => {
    add('one');
    await put({
      calendar: { schedules: [daily, weekly] },
      storage: { repository: 'usual', flags: { weekly: 'weeks' } },
    });
    await passTo('2026-03-03T08:00:00Z', 60);
    const asked = (await sessions('backup')).map(async ({ id, startedAt }) => {
      const { request } = await readState(lab.installation, id, 'backup');
      return [startedAt.slice(5, 10), request.repository];
    });
    expect(await Promise.all(asked)).toEqual([
      ['03-02', 'weeks'],
      ['03-03', 'usual'],
    ]);
  });

  it('catches up once after downtime: the newest slot runs, late, with the flags of those that were missed', async () => {
    const { id } = add('one');
    await put({ calendar: { schedules: [daily, weekly] } });
    await passTo('2026-03-08T08:00:00Z', 60);
    await outage('2026-03-11T06:00:00Z');
    await passTo('2026-03-11T06:30:00Z');
    expect((await points(id)).slice(-2)).toEqual(['03-08T07:00 daily', '03-11T06:00 daily+weekly']);
    const rows = await lab.installation.catalog.slots.list({ policyId: 'p', region: null });
    expect(
      rows
        .slice(-3)
        .map(({ slot, state, late, coalescedInto }) => [
          slot.slice(5, 16),
          state,
          late,
          coalescedInto?.slice(5, 16),
        ]),
    ).toEqual([
      ['03-08T07:00', 'done', false, undefined],
      ['03-09T07:00', 'missed', false, '03-10T07:00'],
      ['03-10T07:00', 'done', true, undefined],
    ]);
    expect(lab.telemetry.of('holdfast.slot.missed').map(({ slot }) => slot)).toEqual([
      '2026-03-09T07:00:00.000Z',
    ]);
  });

  it('writes no rows while slots wait for the window, and runs them when it opens', async () => {
    const { id } = add('one');
    const window = [{ start: '06:00', end: '08:00' }];
    await put({ calendar: { schedules: [daily], window } });
    await passTo('2026-03-02T08:00:00Z', 30);
    await outage('2026-03-03T09:00:00Z');
    await passTo('2026-03-04T05:30:00Z', 30);
    expect(await lab.installation.catalog.slots.list({ policyId: 'p', region: null })).toHaveLength(1);
    await passTo('2026-03-04T06:10:00Z', 10);
    expect(await points(id)).toEqual(['03-02T07:00 daily', '03-04T06:00 daily']);
  });

  it('runs a calendar in the time of regions in each region at its own time, with that region’s machines only', async () => {
    const here = add('here', 'westeurope');
    const there = add('there', 'East US');
    await put({ calendar: { timeZone: 'region', schedules: [daily] } });
    await passTo('2026-03-02T18:00:00Z', 30);
    expect(await points(here.id)).toEqual(['03-02T06:00 daily']);
    expect(await points(there.id)).toEqual(['03-02T12:00 daily']);
    const slots = lab.installation.catalog.slots;
    expect(new Set(await slots.regions('p'))).toEqual(new Set(['eastus', 'westeurope']));
    expect((await slots.list({ policyId: 'p', region: 'eastus' })).map(({ slot }) => slot)).toEqual([
      '2026-03-02T12:00:00.000Z',
    ]);
    expect(await sessions('policyRun')).toHaveLength(2);
  });

  it('owes a machine the flags of the run that failed, and gives them to its next point', async () => {
    const good = add('good');
    const bad = add('bad');
    await put({ calendar: { schedules: [daily, weekly] }, retry: { attempts: 0 } });
    lab.cloud.failing.add('bad');
    await passTo('2026-03-02T08:00:00Z', 60);
    lab.cloud.failing.clear();
    await passTo('2026-03-04T08:00:00Z', 60);
    expect(await points(good.id)).toEqual([
      '03-02T07:00 daily+weekly',
      '03-03T07:00 daily',
      '03-04T07:00 daily',
    ]);
    expect(await points(bad.id)).toEqual(['03-03T07:00 daily+weekly', '03-04T07:00 daily']);
  });

  it('misses nothing while a policy is disabled, and begins an edited calendar anew', async () => {
    const { id } = add('one');
    await put({ calendar: { schedules: [daily, weekly] } });
    await passTo('2026-03-03T08:00:00Z', 60);
    await put({ calendar: { schedules: [daily, weekly] }, enabled: false });
    await passTo('2026-03-10T10:00:00Z', 60);
    await put({ calendar: { schedules: [daily, weekly] } });
    await passTo('2026-03-11T08:00:00Z', 60);
    await put({ calendar: { schedules: [{ every: 'day', at: ['05:00', '06:00'] }] } });
    await passTo('2026-03-12T05:30:00Z', 30);
    expect(await points(id)).toEqual([
      '03-02T07:00 daily+weekly',
      '03-03T07:00 daily',
      '03-11T07:00 daily',
      '03-12T05:00 daily',
    ]);
    expect(lab.telemetry.of('holdfast.slot.missed')).toEqual([]);
  });

  it('starts each machine at its own place after the slot, always the same, with few looks while it waits', async () => {
    const ids = ['one', 'two', 'three', 'four', 'five'].map((name) => add(name).id);
    await put({ calendar: { schedules: [daily], staggerMinutes: 240 } });
    let looks = 0;
    lab.afterActivity = (name) => void (looks += name === 'backUpMachines' ? 1 : 0);
    await passTo('2026-03-03T12:00:00Z', 60);
    const times = await Promise.all(ids.map((id) => points(id)));
    const minutes = times.map((lines) => lines.map((line) => line.slice(6, 11)));
    for (const [first = '', second = ''] of minutes) {
      const at = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
      // A look comes every other minute while nothing else happens, and more rarely while machines are at work.
      expect(Math.abs(at(first) - at(second))).toBeLessThanOrEqual(6);
      expect(at(first)).toBeGreaterThanOrEqual(7 * 60);
      expect(at(first)).toBeLessThan(11 * 60 + 6);
    }
    expect(new Set(minutes.map(([first]) => first)).size).toBeGreaterThan(2);
    expect(looks).toBeLessThan(2 * 150);
    expect((await sessions('policyRun')).map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  });

  it('started by hand makes a point of the most frequent flag that the policy keeps, and covers no slot', async () => {
    const { id } = add('one');
    await put({ calendar: { schedules: [weekly] }, retention: { keep: { weekly: { weeks: 5 } } } });
    const policy = (await lab.installation.catalog.policies.get('p'))?.value;
    if (!policy) throw new Error('no policy');
    const run = await requestPolicyRun(lab.installation, lab.instances, policy, null);
    await lab.finish();
    expect((await readState(lab.installation, run.id, 'policyRun')).request).toMatchObject({
      slot: null,
      backupFlags: ['weekly'],
    });
    expect(await points(id)).toEqual(['03-02T00:00 weekly']);
    expect(await lab.installation.catalog.slots.covered('p', id)).toBeNull();
  });
});

describe('an SLA', () => {
  const sla = {
    timeZone: 'UTC',
    rpoMinutes: 60 as const,
    window: [{ start: '10:00', end: '18:00' }],
    thresholdPercent: 90,
  };

  it('is measured by machine and by day: a machine that came later counts what was before as met', async () => {
    await put({ sla, retention: { keep: { daily: { points: 30 } } }, retry: { attempts: 0 } });
    add('first');
    await passTo('2026-03-02T12:30:00Z', 10);
    add('late');
    await passTo('2026-03-02T15:30:00Z', 10);
    lab.cloud.failing.add('late');
    await passTo('2026-03-02T17:30:00Z', 10);
    lab.cloud.failing.clear();
    await passTo('2026-03-02T20:00:00Z', 10);
    // Retention comes after each backup, and waits for no window to close.
    const backups = (await sessions('backup')).filter(({ restorePoint }) => restorePoint !== null);
    const retained = (await sessions('retention')).map(({ reason, startedAt }) => `${startedAt} ${reason}`);
    expect(retained.sort()).toEqual(backups.map(({ id, endedAt }) => `${endedAt} after ${id}`).sort());
    expect(backups.length).toBeGreaterThan(10);
    const policy = (await lab.installation.catalog.policies.get('p'))?.value;
    if (!policy) throw new Error('no policy');
    const report = await complianceOf(lab.installation, policy, 1);
    expect(
      report.machines.map(({ machineName, expected, met, assumed, percent }) => ({
        machineName,
        expected,
        met,
        assumed,
        percent,
      })),
    ).toEqual([
      { machineName: 'first', expected: 8, met: 8, assumed: 0, percent: 100 },
      { machineName: 'late', expected: 8, met: 6, assumed: 3, percent: 75 },
    ]);
    expect(report).toMatchObject({ percent: 87.5, thresholdPercent: 90, met: false });
    expect(report.machines[1]?.misses.map((at) => at.slice(11, 16))).toEqual(['16:00', '17:00']);
    expect(report.days).toMatchObject([{ percent: 87.5, met: false }]);
    expect(await tellCompliance(lab.installation)).toEqual([]);
    expect(lab.telemetry.of('holdfast.policy.compliance')).toEqual([
      { policyId: 'p', percent: 87.5, thresholdPercent: 90, met: false, machines: 2, missed: 2 },
    ]);
  });

  it('of snapshots is measured by those that were made, also when they are gone', async () => {
    await put({
      sla: { ...sla, makes: 'snapshot' },
      snapshots: { retention: { keep: { daily: { points: 2 } } } },
      retry: { attempts: 0 },
    });
    const { id } = add('one');
    await passTo('2026-03-02T15:30:00Z', 10);
    lab.cloud.failing.add('one');
    await passTo('2026-03-02T17:30:00Z', 10);
    lab.cloud.failing.clear();
    await passTo('2026-03-02T20:00:00Z', 10);
    const policy = (await lab.installation.catalog.policies.get('p'))?.value;
    if (!policy) throw new Error('no policy');
    const { machines, met } = await complianceOf(lab.installation, policy, 1);
    expect(machines).toMatchObject([{ machineName: 'one', expected: 8, met: 6, assumed: 0, percent: 75 }]);
    expect(machines[0]?.misses.map((at) => at.slice(11, 16))).toEqual(['16:00', '17:00']);
    expect([met, await points(id)]).toEqual([false, []]);
    expect(lab.cloud.snapshots.size).toBeLessThan(6);
  });

  it('runs at the openings of its window in the time of each region', async () => {
    await put({ sla: { ...sla, timeZone: 'region', rpoMinutes: 240 } });
    const here = add('here', 'westeurope');
    const there = add('there', 'eastus');
    await passTo('2026-03-02T23:30:00Z', 30);
    expect(await points(here.id)).toEqual(['03-02T09:00 daily', '03-02T13:00 daily']);
    expect(await points(there.id)).toEqual(['03-02T15:00 daily', '03-02T19:00 daily']);
  });
});
