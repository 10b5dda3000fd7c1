import { afterEach, expect, test } from 'vitest';
import { csvOf } from '../../functions/csv.ts';
import { SESSION_COLUMNS } from '../../functions/sessionColumns.ts';
import { sessionAt, TestClock } from '../catalog/support.ts';
import { DISK, SESSION } from './samples.ts';
import { refusal, run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>>;
afterEach(() => service?.close());

const SHARD = {
  id: 'move-0-0',
  kind: 'move',
  state: 'done',
  attempt: 1,
  owner: 'worker-1',
  doneBytes: 1024,
  readBytes: 1024,
  storedBytes: 512,
  failures: [],
};
const node = (over: object) => ({ ...SESSION, disks: [], children: [], moreChildren: 0, ...over });
const MACHINE_NODE = node({
  status: 'failed',
  endedAt: '2026-11-21T22:52:00.000Z',
  error: { code: 'jobPoisoned', message: 'Job move-0-1 failed 4 times', retryable: false },
  phases: [
    { phase: 'plan', startedAt: SESSION.startedAt, endedAt: SESSION.startedAt, seconds: 3 },
    { phase: 'move', startedAt: SESSION.startedAt, endedAt: null, seconds: 60 },
  ],
  throttling: { calls: 7, seconds: 12 },
  disks: [
    {
      ...DISK,
      readBytes: 2048,
      storedBytes: 1024,
      shards: [
        SHARD,
        {
          ...SHARD,
          id: 'move-0-1',
          state: 'poisoned',
          attempt: 4,
          failures: ['attempt 4: timeout: gone'],
        },
      ],
    },
  ],
});
const TREE = node({
  id: '06azkc3h3g00000000rn',
  kind: 'policyRun',
  machineName: null,
  policyId: 'nightly',
  status: 'warning',
  endedAt: '2026-11-21T22:55:00.000Z',
  warnings: ['Machine web-1: failed'],
  waits: [{ kind: 'machines', times: 1, seconds: 65 }],
  children: [MACHINE_NODE],
  moreChildren: 2,
});

test('a session is drawn as a tree of machines, disks and the shards that need a look', async () => {
  service = await scriptedService({ [`GET sessions/${TREE.id}`]: { body: TREE } });
  const { code, out } = await run(service.url, ['session', 'tree', TREE.id]);
  expect(code).toBe(0);
  expect(service.seen[0]?.query).toMatchObject({ expand: 'tree' });
  expect(out.split('\n')).toEqual([
    `policyRun nightly  warning  5m 00s  ${TREE.id}`,
    '├─ warning: Machine web-1: failed',
    '├─ waited for: machines 1m 05s',
    `├─ backup web-1  failed  2m 00s  ${SESSION.id}`,
    '│  ├─ jobPoisoned: Job move-0-1 failed 4 times',
    '│  ├─ phases: plan 3s, move 1m 00s',
    '│  ├─ waited for: throttling 12s',
    '│  └─ disk 0 web-1-os  2.0 GiB  read 2.0 KiB  stored 1.0 KiB  first  (1 shard done)',
    '│     └─ move-0-1  poisoned  attempt 4 on worker-1  read 1.0 KiB  stored 512 B',
    '│        └─ attempt 4: timeout: gone',
    '└─ and 2 more',
    '',
  ]);
  const all = await run(service.url, ['session', 'tree', TREE.id, '--shards']);
  expect(all.out).toContain('move-0-0  done  attempt 1 on worker-1');
  const json = await run(service.url, ['session', 'tree', TREE.id, '-o', 'json']);
  expect(JSON.parse(json.out)).toEqual(TREE);
});

test('a session shows its phases, and what it waited for', async () => {
  const session = { ...MACHINE_NODE, status: 'succeeded', error: null };
  service = await scriptedService({ [`GET sessions/${SESSION.id}`]: { body: session } });
  const { out } = await run(service.url, ['session', 'show', SESSION.id]);
  expect(out).toMatch(/^WAITED FOR +throttling 12s \(7 refusals\)$/m);
  expect(out).toMatch(/^PHASE +FROM +TO +TIME$/m);
  expect(out).toMatch(/^move +2026-11-21 22:50:00Z +- +1m 00s$/m);
});

test('a removal is only shown until it is asked for with --yes', async () => {
  const plan = {
    points: [
      {
        name: '0123456789abcdef/2',
        machineName: 'web-1',
        takenAt: SESSION.startedAt,
        storedBytes: 2048,
        verdict: 'held',
        until: null,
        why: 'audit holds it: case 12',
      },
    ],
    snapshots: [{ id: '/s/1', origin: 'manual', takenAt: null, verdict: 'goes', why: null }],
    consequences: ['No restore point of the machine is left.'],
  };
  const path = 'machines/web-1/removals';
  service = await scriptedService({
    [`POST ${path}`]: ({ body }) =>
      (body as { dryRun?: boolean }).dryRun ? { body: plan } : { status: 202, body: { id: SESSION.id } },
    'DELETE restorePoints/0123456789abcdef/2': ({ query }) =>
      query.dryRun === 'true'
        ? { body: plan }
        : refusal(423, 'locked', 'Restore point 0123456789abcdef/2 cannot be removed: immutable until 2027.'),
  });
  const asked = ['point', 'delete', '--machine', 'web-1', '--all', '--snapshots', 'manual'];
  const shown = await run(service.url, asked);
  expect(shown.code).toBe(2);
  expect(shown.out).toMatch(/held +audit holds it: case 12/);
  expect(shown.err).toContain('No restore point of the machine is left.');
  expect(shown.err).toContain('add --yes');
  expect((await run(service.url, [...asked, '--dry-run'])).code).toBe(0);
  const done = await run(service.url, [...asked, '--yes']);
  expect([done.code, done.out]).toEqual([0, expect.stringContaining(SESSION.id)]);
  expect(service.seen.at(-1)).toMatchObject({ body: { points: 'all', snapshots: 'manual' } });
  const refused = await run(service.url, ['point', 'delete', '0123456789abcdef/2', '--yes']);
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('immutable until 2027')]);
  expect((await run(service.url, ['point', 'delete'])).code).toBe(2);
});

test('damage is listed with what it affects, and says so by its exit code', async () => {
  const damage = {
    name: '0123456789abcdef/2',
    machineName: 'web-1',
    takenAt: SESSION.startedAt,
    kind: 'data',
    affects: ['0123456789abcdef/3'],
    disks: [{ disk: 0, name: 'os', blocks: 12 }],
    what: 'It lacks 1 object.',
  };
  service = await scriptedService({ 'GET damage': [{ body: { value: [damage] } }, { body: { value: [] } }] });
  const found = await run(service.url, ['point', 'damage', '--machine', 'web-1']);
  expect([found.code, service.seen[0]?.query['machine']]).toEqual([5, 'web-1']);
  expect(found.out).toMatch(/data +os \(12\) +0123456789abcdef\/3 +It lacks 1 object\./);
  expect((await run(service.url, ['point', 'damage'])).code).toBe(0);
});

test('the overview prints its parts, those that have something', async () => {
  const overview = {
    at: SESSION.startedAt,
    coverage: { protected: 3, late: 1, waiting: 0, none: 2 },
    attention: [
      { machineName: 'web-1', state: 'late', policyId: 'nightly', rpoSeconds: 90_000, why: 'no point since' },
    ],
    sessions: { running: 1, byKind: { backup: { succeeded: 4, failed: 1 } }, failed: [] },
    bottlenecks: [
      { wait: 'worker', seconds: 3700, sessions: 2, longest: { sessionId: SESSION.id, seconds: 3600 } },
    ],
    policies: [],
    repositories: [],
    upcoming: [
      {
        at: SESSION.startedAt,
        policyId: 'nightly',
        region: null,
        makes: 'backup',
        flags: ['daily', 'weekly'],
      },
    ],
    troubles: ['Subscription x could not be listed.'],
  };
  service = await scriptedService({ 'GET overview': { body: overview } });
  const { code, out, err } = await run(service.url, ['overview']);
  expect(code).toBe(0);
  expect(out).toMatch(/^LATE +1$/m);
  expect(out).toMatch(/^SUCCEEDED \(24 H\) +4$/m);
  expect(out).toMatch(/^web-1 +late +nightly +25h 00m ago +no point since$/m);
  expect(out).toMatch(/^worker +1h 01m +2 +1h 00m in /m);
  expect(out).toMatch(/nightly +- +backup +daily,weekly$/m);
  expect(out).not.toContain('REPOSITORY');
  expect(err).toContain('Subscription x');
  expect(JSON.parse((await run(service.url, ['overview', '-o', 'json'])).out)).toEqual(overview);
});

test('an export of sessions is RFC 4180, a column a fact, with what a spreadsheet would run made harmless', () => {
  const clock = new TestClock();
  const session = sessionAt(clock, {
    machineName: '=cmd|"x"',
    status: 'failed',
    endedAt: new Date(clock.now().getTime() + 61_500).toISOString(),
    disks: [{ ...DISK, readBytes: 10, storedBytes: 4 }],
    waits: [{ kind: 'worker', times: 1, seconds: 30, since: null }],
    throttling: [{ source: 'app', calls: 2, seconds: 1 }],
    error: { code: 'timeout', message: 'a, "b"\nc', retryable: true },
  });
  const text = csvOf(SESSION_COLUMNS, [session]);
  const [heading = '', row = ''] = text.split('\r\n');
  expect(heading).toBe(SESSION_COLUMNS.map(({ name }) => name).join(','));
  expect(row).toContain(`"'=cmd|""x"""`);
  expect(row).toContain('"a, ""b""\nc"');
  const byName = Object.fromEntries(SESSION_COLUMNS.map(({ name, value }) => [name, value(session)]));
  expect(byName).toMatchObject({
    seconds: 61.5,
    readBytes: 10,
    storedBytes: 4,
    readReasons: 'first',
    waitedForWorkerSeconds: 30,
    waitedForLaunchSeconds: 0,
    throttledCalls: 2,
    errorCode: 'timeout',
  });
});
