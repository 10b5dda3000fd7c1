import { afterEach, expect, test } from 'vitest';
import { DISK, POINT, SESSION } from './samples.ts';
import { hurriedClock, refusal, run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>>;
afterEach(() => service.close());

const at = (change: object, disk: object = {}) => ({
  body: { ...SESSION, phase: 'move', disks: [{ ...DISK, ...disk }], ...change },
});
const started = { status: 202, body: SESSION };
const steps = (last: object) => [
  refusal(404, 'notFound', 'not there yet'),
  { body: SESSION },
  at({}, { doneBytes: 10 * 1024 ** 2, percent: 25 }),
  at({}, { doneBytes: 10.5 * 1024 ** 2, percent: 26 }),
  at({ phase: 'commit' }, { doneBytes: 40 * 1024 ** 2, percent: 100 }),
  at(
    { phase: 'done', endedAt: '2026-11-21T22:50:20.000Z', ...last },
    { doneBytes: 40 * 1024 ** 2, percent: 100 },
  ),
];

test('backup start --wait writes a line for each phase and tenth to stderr, the session to stdout', async () => {
  service = await scriptedService({
    'POST backups': started,
    [`GET sessions/${SESSION.id}`]: steps({ status: 'succeeded', restorePoint: POINT }),
  });
  const clock = hurriedClock();
  const { code, out, err } = await run(
    service.url,
    'backup start web-1 --wait --mover inline --reason test -o json'.split(' '),
    { clock },
  );
  expect(err).toBe(
    [
      `backup web-1 ${SESSION.id}: starting`,
      `backup web-1 ${SESSION.id}: move`,
      '  web-1-os 25%  10.0 MiB of 40.0 MiB, first',
      `backup web-1 ${SESSION.id}: commit`,
      '  web-1-os 100%  40.0 MiB of 40.0 MiB, first',
      `backup web-1 ${SESSION.id}: succeeded`,
      '',
    ].join('\n'),
  );
  expect(JSON.parse(out)).toMatchObject({ id: SESSION.id, status: 'succeeded' });
  expect(code).toBe(0);
  expect(service.seen[0]?.body).toEqual({
    machine: 'web-1',
    protection: { mover: 'inline' },
    reason: 'test',
  });
  expect(clock.slept).toBe(5000);
});

test('on a terminal the bars are redrawn in place', async () => {
  service = await scriptedService({
    [`GET sessions/${SESSION.id}`]: [
      at({}, { doneBytes: 20 * 1024 ** 2, percent: 50 }),
      at({ status: 'succeeded' }, { doneBytes: 40 * 1024 ** 2, percent: 100 }),
    ],
  });
  const written: string[] = [];
  const stderr = { isTTY: true, columns: 100, write: (text: string) => written.push(text) };
  await run(service.url, ['session', 'show', SESSION.id, '--wait'], { stderr });
  const bar = (full: number) => '█'.repeat(full) + '░'.repeat(24 - full);
  expect(written).toEqual([
    `backup web-1 ${SESSION.id}: move\n  web-1-os ${bar(12)}  50%  20.0 MiB of 40.0 MiB, first\n`,
    `${String.fromCharCode(27)}[2A${String.fromCharCode(27)}[0J` +
      `backup web-1 ${SESSION.id}: succeeded\n  web-1-os ${bar(24)} 100%  40.0 MiB of 40.0 MiB, first\n`,
  ]);
});

test.each([
  ['succeeded', 0],
  ['warning', 5],
  ['failed', 1],
  ['cancelled', 1],
  ['skipped', 1],
])('a waited-for session that ends %s gives exit code %i', async (status, exitCode) => {
  service = await scriptedService({ [`GET sessions/${SESSION.id}`]: at({ status }) });
  const { code, out } = await run(service.url, ['session', 'show', SESSION.id, '--wait']);
  expect(code).toBe(exitCode);
  expect(out).toContain(status);
});

test('without --wait it prints the id and says how to follow', async () => {
  service = await scriptedService({ 'POST backups': started, 'POST policies/demo/start': started });
  for (const argv of [
    ['backup', 'start', 'web-1', '-o', 'tsv'],
    ['policy', 'start', 'demo', '-o', 'tsv'],
  ]) {
    const { code, out, err } = await run(service.url, argv);
    expect({ code, out }).toEqual({ code: 0, out: `${SESSION.id}\n` });
    expect(err).toContain(`holdfast session show ${SESSION.id} --wait`);
  }
});

test('a dry run prints the disks and starts nothing', async () => {
  const disks = [{ name: 'web-1-os', sizeBytes: 2 * 1024 ** 3, plannedReason: 'changedBlocks' }];
  service = await scriptedService({ 'POST backups': { body: { machine: 'web-1', disks } } });
  expect((await run(service.url, ['backup', 'start', 'web-1', '--dry-run'])).out).toBe(
    'DISK         SIZE  WOULD READ\nweb-1-os  2.0 GiB  changedBlocks\n',
  );
  expect(service.seen.map(({ body }) => body)).toEqual([{ machine: 'web-1', dryRun: true }]);
});

test('a dry run of a restore prints the chosen disks and where they would go', async () => {
  service = await scriptedService({
    'POST restores': {
      body: { point: POINT, subscriptionId: 's1', resourceGroup: 'shop', location: 'westeurope' },
    },
  });
  const { out } = await run(
    service.url,
    'restore disk 0123456789abcdef/2 --disk 0 --dry-run -o tsv'.split(' '),
  );
  expect(out).toBe('0\tweb-1-os\t2147483648\tshop\twesteurope\n');
  expect(service.seen.map(({ body }) => body)).toEqual([
    { restorePoint: '0123456789abcdef/2', disks: [0], dryRun: true },
  ]);
});

test('restore disk names point and disks, and shows the disks it made', async () => {
  const createdDisks = [{ number: 1, diskId: '/subscriptions/s1/restored-1' }];
  service = await scriptedService({
    'POST restores': started,
    [`GET sessions/${SESSION.id}`]: at({ kind: 'restore', status: 'succeeded', createdDisks }),
  });
  const { code, out } = await run(
    service.url,
    'restore disk 0123456789abcdef/2 --disk 1 --disk 0,1 --resource-group back --name-prefix r --wait'.split(
      ' ',
    ),
  );
  expect(code).toBe(0);
  expect(service.seen[0]?.body).toEqual({
    restorePoint: '0123456789abcdef/2',
    disks: [1, 0],
    resourceGroup: 'back',
    namePrefix: 'r',
  });
  expect(out).toContain('Disk 1 restored to /subscriptions/s1/restored-1\n');
});

test('cancel --wait is done when the session has ended cancelled', async () => {
  service = await scriptedService({
    [`POST sessions/${SESSION.id}/cancel`]: { status: 202, body: SESSION },
    [`GET sessions/${SESSION.id}`]: [at({}), at({ status: 'cancelled' })],
  });
  expect((await run(service.url, ['session', 'cancel', SESSION.id, '--wait'])).code).toBe(0);
});

test('an interruption ends the waiting with 130 and leaves the session alone', async () => {
  service = await scriptedService({ 'POST backups': started, [`GET sessions/${SESSION.id}`]: at({}) });
  const interrupt = new AbortController();
  const clock = {
    ...hurriedClock(),
    async sleep() {
      interrupt.abort(new Error('interrupted'));
      interrupt.signal.throwIfAborted();
    },
  };
  const { code, err } = await run(service.url, ['backup', 'start', 'web-1', '--wait'], {
    clock,
    signal: interrupt.signal,
  });
  expect(code).toBe(130);
  expect(err).toContain('The session goes on.');
  expect(service.seen.map(({ method }) => method)).toEqual(['POST', 'GET']);
});
