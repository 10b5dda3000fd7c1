import { afterEach, expect, test } from 'vitest';
import { SESSION } from './samples.ts';
import { hurriedClock, refusal, run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>>;
afterEach(() => service.close());

const SET = {
  name: `${SESSION.id}-1`,
  machineId: SESSION.machineId,
  machineName: 'web-1',
  kind: 'policy',
  flags: ['daily', 'monthly'],
  takenAt: '2026-11-21T22:50:11.123Z',
  expiresAt: null,
  diskBytes: 3 * 1024 ** 3,
  base: true,
  why: 'base of the next incremental',
  snapshots: [{ id: '/snapshots/one' }, { id: '/snapshots/two' }],
};
const started = { status: 202, body: SESSION };

test('snapshot list shows each set with its flags and why it stays, and filters on the service', async () => {
  service = await scriptedService({ 'GET snapshots': { body: { value: [SET] } } });
  const { code, out } = await run(service.url, 'snapshot list --machine web-1 --kind policy'.split(' '));
  expect(code).toBe(0);
  expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['SNAPSHOT SET', 'MACHINE', 'KIND', 'FLAGS', 'TAKEN', 'DISKS', 'SIZE', 'BASE', 'EXPIRES', 'WHY'],
    [
      SET.name,
      'web-1',
      'policy',
      'DM',
      '2026-11-21 22:50:11Z',
      '2',
      '3.0 GiB',
      'yes',
      '-',
      'base of the next incremental',
    ],
    [''],
  ]);
  expect(service.seen[0]?.query).toMatchObject({ machine: 'web-1', kind: 'policy' });
});

test('snapshot create asks for all machines at once, with tags and an expiry counted from now', async () => {
  const other = '06azkc3h3g0000000001';
  service = await scriptedService({
    'POST snapshots': { status: 202, body: { value: [SESSION, { ...SESSION, id: other }] } },
  });
  const clock = hurriedClock();
  const words = 'snapshot create web-1 web-2 --tag why=upgrade --tag by=me --expires 30d -o jsonl'.split(' ');
  const { code, out } = await run(service.url, words, { clock });
  expect(code).toBe(0);
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id),
  ).toEqual([SESSION.id, other]);
  expect(service.seen[0]?.body).toEqual({
    machines: ['web-1', 'web-2'],
    tags: { why: 'upgrade', by: 'me' },
    expiresAt: new Date(clock.now().getTime() + 30 * 24 * 3600_000).toISOString(),
  });
});

test.each(['yesterday', '2020-01-01', '0d'])(
  'an expiry of %s is refused before the service is asked',
  async (when) => {
    service = await scriptedService({});
    const { code, err } = await run(service.url, ['snapshot', 'create', 'web-1', '--expires', when]);
    expect(code).toBe(2);
    expect(err).toContain('--expires');
    expect(service.seen).toEqual([]);
  },
);

test('snapshot delete takes names, or a machine and a kind', async () => {
  service = await scriptedService({ 'POST snapshots/remove': started });
  await run(service.url, ['snapshot', 'delete', SET.name, '--force']);
  await run(service.url, 'snapshot delete --machine web-1 --kind manual'.split(' '));
  expect(service.seen.map(({ body }) => body)).toEqual([
    { names: [SET.name], force: true },
    { machine: 'web-1', kind: 'manual' },
  ]);
});

test('the refusal to delete a base is said as the service says it', async () => {
  service = await scriptedService({
    'POST snapshots/remove': refusal(409, 'conflict', 'It is the base of the next incremental.', SET.name),
  });
  const { code, err } = await run(service.url, ['snapshot', 'delete', SET.name]);
  expect(code).toBe(1);
  expect(err).toContain('It is the base of the next incremental.');
});

test('policy reset-cbt shows when it was', async () => {
  const resetAt = '2026-11-21T22:50:11.000Z';
  const changedBlocks = { enabled: true, wholeReadEveryDays: null, resetAt };
  service = await scriptedService({
    'POST policies/nightly/resetChangedBlocks': { body: { id: 'nightly', changedBlocks } },
  });
  const { code, out } = await run(service.url, ['policy', 'reset-cbt', 'nightly']);
  expect(code).toBe(0);
  expect(out).toContain('2026-11-21 22:50:11Z');
});

test('backup start passes flags and expiry on', async () => {
  service = await scriptedService({ 'POST backups': started });
  const clock = hurriedClock();
  await run(service.url, 'backup start web-1 --flags monthly,yearly --expires 12h'.split(' '), { clock });
  expect(service.seen[0]?.body).toEqual({
    machine: 'web-1',
    flags: ['monthly', 'yearly'],
    expiresAt: new Date(clock.now().getTime() + 12 * 3600_000).toISOString(),
  });
  const { code, err } = await run(service.url, 'backup start web-1 --flags hourly'.split(' '));
  expect([code, err]).toEqual([2, expect.stringContaining('"hourly" is none of daily')]);
});
