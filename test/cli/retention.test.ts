import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SESSION } from './samples.ts';
import { run, scriptedService } from './service.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function policyFile(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

/** 2 March 2026 is a Monday. */
const HARMONISED = `
id: nightly
scope: { all: true }
calendar:
  schedules:
    - { every: hour, hours: [7, 9, 11], days: weekdays }
    - { every: week, days: [monday], at: ['07:00'] }
retention:
  keep: { daily: { points: 3 }, weekly: { points: 2 } }
snapshots:
  retention: { keep: {} }
`;

test('simulates, without any service, three backups a day kept by threes beside a weekly one kept by twos', async () => {
  const path = await policyFile('harmonised.yaml', HARMONISED);
  const { code, out, err } = await run(undefined, [
    'retention',
    'simulate',
    '--policy',
    path,
    '--from',
    '2026-03-02',
    '--days',
    '15',
  ]);
  expect(code).toBe(0);
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, ' '));
  // Monday 7:00 has both flags; on Tuesday D comes off it and Monday 9:00 goes; in the third week it goes too.
  expect(lines).toContain(
    '2026-03-02 + restore point 2026-03-02 07:00 DW kept: daily, number 3 of the newest 3, weekly, number 1 of the newest 2',
  );
  expect(lines).toContain(
    '2026-03-03 - restore point 2026-03-02 09:00 D goes: daily ended: older than the newest 3',
  );
  expect(lines).toContain(
    '2026-03-16 - restore point 2026-03-02 07:00 W goes: weekly ended: older than the newest 2',
  );
  expect(
    lines.filter(
      (line) => line.startsWith('2026-03-16') && line.includes('restore point') && !line.includes(' - '),
    ),
  ).toEqual([
    '2026-03-16 + restore point 2026-03-16 11:00 D kept: daily, number 1 of the newest 3, the newest',
    '2026-03-16 + restore point 2026-03-16 09:00 D kept: daily, number 2 of the newest 3',
    '2026-03-16 + restore point 2026-03-16 07:00 DW kept: daily, number 3 of the newest 3, weekly, number 1 of the newest 2',
    '2026-03-16 restore point 2026-03-09 07:00 W kept: weekly, number 2 of the newest 2',
  ]);
  expect(err).toContain(
    'At the end of 2026-03-16: 4 restore points and 1 snapshot sets of each machine (times are of UTC).',
  );
});

test('simulates a weekly backup kept for three weeks, an archive that is kept by months, and the end of the policy', async () => {
  const weekly = await policyFile(
    'weekly.json',
    JSON.stringify({
      id: 'weekly',
      scope: { all: true },
      calendar: { schedules: [{ every: 'week', days: ['monday'], at: ['07:00'] }] },
      retention: { keep: { weekly: { days: 21 } }, keepLast: false },
    }),
  );
  const simulate = async (...options: string[]) =>
    JSON.parse(
      (await run(undefined, ['retention', 'simulate', '--policy', weekly, '-o', 'json', ...options])).out,
    ) as Record<string, string>[];
  const rows = await simulate('--from', '2026-02-01', '--days', '23');
  expect(rows.filter(({ change, kind }) => change === 'goes' && kind === 'restorePoint')).toEqual([
    {
      day: '2026-02-23',
      kind: 'restorePoint',
      takenAt: '2026-02-02 07:00',
      change: 'goes',
      flags: 'W',
      why: 'goes: weekly ended 2026-02-23',
    },
  ]);
  const after = await simulate('--from', '2026-02-01', '--days', '40', '--ends-after', '10');
  expect(
    after
      .filter(({ change, kind }) => change === 'goes' && kind === 'restorePoint')
      .map(({ day, takenAt }) => [day, takenAt]),
  ).toEqual([
    ['2026-02-23', '2026-02-02 07:00'],
    ['2026-03-02', '2026-02-09 07:00'],
  ]);
  expect(after.filter(({ day, change }) => day === '2026-03-12' && change === 'stays')).toEqual([]);
});

test('asks for the region of a policy in the time of regions, and says what is wrong with a file', async () => {
  const regional = await policyFile(
    'regional.yaml',
    'id: r\nscope: { all: true }\nsla: { rpoMinutes: 1440 }\n',
  );
  const without = await run(undefined, [
    'retention',
    'simulate',
    '--policy',
    regional,
    '--from',
    '2026-03-28',
    '--days',
    '2',
  ]);
  expect(without.code).not.toBe(0);
  expect(without.err).toContain('--region westeurope');
  const { out } = await run(undefined, [
    'retention',
    'simulate',
    '--policy',
    regional,
    '--region',
    'eastus',
    '--from',
    '2026-03-07',
    '--days',
    '2',
    '-o',
    'tsv',
  ]);
  expect(out).toContain('2026-03-07\tmade\trestorePoint\t2026-03-07 00:00\tD\t');
  const wrong = await policyFile(
    'wrong.yaml',
    'id: w\nscope: { all: true }\nretention: { keep: { hourly: { points: 1 } } }\n',
  );
  expect((await run(undefined, ['retention', 'simulate', '--policy', wrong])).err).toContain(
    'retention.keep',
  );
  expect((await run(undefined, ['retention', 'simulate', '--policy', `${folder}/none.yaml`])).err).toContain(
    'cannot be read',
  );
});

test('holds and releases a restore point, with who and why', async () => {
  const bodies: unknown[] = [];
  const held = {
    flags: ['daily'],
    rules: null,
    hold: { by: 'ada', reason: 'audit', until: null },
    expiresAt: null,
  };
  const service = await scriptedService({
    'POST restorePoints/0123456789abcdef/2/hold': ({ body }) => {
      bodies.push(body);
      return { body: held };
    },
    'POST restorePoints/0123456789abcdef/2/release': { body: { ...held, hold: null } },
  });
  const name = '0123456789abcdef/2';
  const hold = await run(service.url, ['point', 'hold', name, '--reason', 'audit', '--by', 'ada']);
  expect([hold.code, hold.err, bodies]).toEqual([
    0,
    `Restore point ${name} is held until it is released.\n`,
    [{ reason: 'audit', by: 'ada' }],
  ]);
  expect((await run(service.url, ['point', 'release', name])).err).toBe(
    `Restore point ${name} is released.\n`,
  );
  expect((await run(service.url, ['point', 'hold', name])).code).not.toBe(0);
  await service.close();
});

test('shows what a retention session removed, what stays of a machine, and how an SLA was kept', async () => {
  const removed = {
    what: 'restorePoint',
    name: '0123456789abcdef/2',
    machineName: 'web-1',
    takenAt: '2026-11-01T22:00:00.000Z',
    flags: 'D',
    why: 'daily ended 2026-11-15',
  };
  const decision = {
    what: 'restorePoint',
    name: 'c/1',
    takenAt: '2026-11-01T22:00:00.000Z',
    flags: 'W',
    keep: true,
    why: 'weekly until 2026-12-01',
    until: '2026-12-01T22:00:00.000Z',
  };
  const machine = {
    machineName: 'web-1',
    region: 'westeurope',
    expected: 8,
    met: 6,
    assumed: 3,
    percent: 75,
    misses: ['2026-11-20T16:00:00.000Z'],
  };
  const compliance = {
    policyId: 'gold',
    from: '2026-11-07T00:00:00.000Z',
    until: '2026-11-21T00:00:00.000Z',
    thresholdPercent: 97,
    percent: 75,
    met: false,
    machines: [machine],
    days: [{ from: '2026-11-20T00:00:00.000Z', percent: 75, met: false }],
  };
  const service = await scriptedService({
    [`GET sessions/${SESSION.id}`]: {
      body: {
        ...SESSION,
        kind: 'retention',
        status: 'succeeded',
        retention: { points: 1, snapshots: 0, changed: 2, removed: [removed] },
      },
    },
    'GET machines/web-1/retention': { body: { policyId: 'gold', value: [decision] } },
    'GET policies/gold/compliance': { body: compliance },
  });
  const shown = (await run(service.url, ['session', 'show', SESSION.id])).out;
  expect(shown).toContain(
    '1 restore point and 0 snapshots removed, 2 restore points with other flags or rules.',
  );
  expect(shown).toMatch(
    /restore point {2}0123456789abcdef\/2 {2}web-1 {4}2026-11-01 22:00:00Z {2}D {6}daily ended 2026-11-15/,
  );
  expect((await run(service.url, ['retention', 'plan', 'web-1'])).out).toMatch(
    /restore point {2}c\/1 .* W .* yes .* weekly until 2026-12-01/,
  );
  const kept = await run(service.url, ['policy', 'compliance', 'gold']);
  expect(kept.out).toMatch(/COMPLIANCE {2}75 %\nTHRESHOLD {3}97 %\nMET {9}no\n/);
  expect(kept.out).toContain(
    'web-1    westeurope         8    6        3        75 %  2026-11-20 16:00:00Z\n',
  );
  expect(kept.code).not.toBe(0);
  await service.close();
});
