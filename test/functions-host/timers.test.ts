import { expect, test } from 'vitest';
import { ManualClock } from '../../local/functions-host/manualClock.ts';
import { parseSchedule } from '../../local/functions-host/ncrontab.ts';
import { basics, type RunningHost, runHost } from './runHost.ts';

const minute = 60_000;

/** What the timer function of the sample app saw since the last call. */
async function seen(): Promise<{ isPastDue: boolean; next: string | undefined }[]> {
  const { ticks } = await basics();
  return ticks.splice(0);
}

async function ticksTo(host: RunningHost, at: string): Promise<void> {
  const due = new Date(at).getTime();
  await host.clock.waitForTimer((timer) => timer.getTime() === due);
}

test('a timer function runs at each occurrence and is told which one, and then waits for the next', async () => {
  const host = await runHost({ clock: new ManualClock('2026-03-01T10:02:00Z') });
  await ticksTo(host, '2026-03-01T10:05:00Z');
  host.clock.advance(3 * minute - 1);
  expect(await seen()).toEqual([]);
  host.clock.advance(1);
  await ticksTo(host, '2026-03-01T10:10:00Z');
  host.clock.advance(5 * minute);
  await ticksTo(host, '2026-03-01T10:15:00Z');
  expect(await seen()).toEqual([
    { isPastDue: false, next: '2026-03-01T10:05:00.000Z' },
    { isPastDue: false, next: '2026-03-01T10:10:00.000Z' },
  ]);
});

test('what was missed while the host was down is made up for once', async () => {
  const first = await runHost({ clock: new ManualClock('2026-03-01T10:02:00Z') });
  await ticksTo(first, '2026-03-01T10:05:00Z');
  await first.host.stop(1000);
  // Four occurrences pass.
  first.clock.advance(20 * minute);
  expect(await seen()).toEqual([]);
  const second = await runHost({ appRoot: first.root, clock: first.clock });
  await ticksTo(second, '2026-03-01T10:25:00Z');
  expect(await seen()).toEqual([{ isPastDue: true, next: '2026-03-01T10:05:00.000Z' }]);
  await second.host.stop(1000);
  const third = await runHost({ appRoot: first.root, clock: first.clock });
  await ticksTo(third, '2026-03-01T10:25:00Z');
  expect(await seen()).toEqual([]);
});

test('runs never overlap, also one asked for by hand, and occurrences that pass meanwhile are left out', async () => {
  const host = await runHost({ clock: new ManualClock('2026-03-01T10:02:00Z') });
  const { tickGate, ticks } = await basics();
  const gate = Promise.withResolvers<void>();
  tickGate.wait = gate.promise;
  const running = host.host.fireTimer('everyFiveMinutes');
  host.clock.advance(18 * minute);
  const asked = await fetch(`${host.url}/admin/functions/everyFiveMinutes?code=master-key`, {
    method: 'POST',
  });
  expect(asked.status).toBe(202);
  expect(ticks).toHaveLength(1);
  tickGate.wait = undefined;
  gate.resolve();
  await running;
  // The occurrence of 10:05 came during the run and follows it; those of 10:10 to 10:20 are gone.
  await ticksTo(host, '2026-03-01T10:25:00Z');
  await host.host.fireTimer('everyFiveMinutes');
  expect(await seen()).toHaveLength(4);
});

test('only timer functions can be run by hand', async () => {
  const { url } = await runHost();
  const status = async (name: string, key = 'master-key'): Promise<number> =>
    (await fetch(`${url}/admin/functions/${name}`, { method: 'POST', headers: { 'x-functions-key': key } }))
      .status;
  expect([
    await status('hello'),
    await status('absent'),
    await status('everyFiveMinutes', 'function-key'),
  ]).toEqual([400, 404, 401]);
});

test.each([
  ['0 */5 * * * *', '2026-01-31T23:58:10Z', '2026-02-01T00:00:00Z'],
  ['30 4 * * * *', '2026-01-31T23:04:30Z', '2026-02-01T00:04:30Z'],
  ['0 0 2 * * 1-5', '2026-01-02T02:00:00Z', '2026-01-05T02:00:00Z'],
  // Both the day of the month and the day of the week must fit, unlike in cron.
  ['0 0 0 13 * Fri', '2026-01-01T00:00:00Z', '2026-02-13T00:00:00Z'],
  ['*/10 * * * *', '2026-01-01T00:01:00Z', '2026-01-01T00:10:00Z'],
  ['00:45:00', '2026-01-01T00:01:00Z', '2026-01-01T00:46:00Z'],
])('the schedule %s follows %s by %s', (expression, from, next) => {
  expect(parseSchedule(expression).next(new Date(from)).toISOString()).toBe(next.replace('Z', '.000Z'));
});

test.each([
  '',
  '* * *',
  '0 0 0 L * *',
  '0 0 0 ? * *',
  '0 0 0 * * 1#2',
  '99 * * * * *',
  '@daily',
  '00:00:00',
  '%UNSET_1%',
])('the schedule "%s" is refused', (expression) => {
  expect(() => parseSchedule(expression)).toThrow(/is not an? (NCRONTAB )?schedule|UNSET_1.*is not set/);
});
