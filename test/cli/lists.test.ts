import { afterEach, expect, test } from 'vitest';
import { MACHINE, POINT, POLICY, SESSION } from './samples.ts';
import { run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>>;
afterEach(() => service.close());

test('a table has a heading, aligned columns and times for people', async () => {
  service = await scriptedService({ 'GET restorePoints': { body: { value: [POINT] } } });
  const { code, out } = await run(service.url, ['point', 'list']);
  expect(out).toBe(
    [
      'RESTORE POINT       MACHINE  KIND         TAKEN                 DISKS     SIZE     READ   STORED  CONSISTENCY  READ REASON    STATE  FLAGS  LEFT OUT  HELD  EXPIRES  IMMUTABLE UNTIL',
      '0123456789abcdef/2  web-1    incremental  2026-11-21 22:50:11Z      1  2.0 GiB  1.5 MiB  684 KiB  atomic       changedBlocks  ok     DW     -         -     -        -',
      '',
    ].join('\n'),
  );
  expect(code).toBe(0);
});

test('a restore point that is damaged, held, to expire and immutable shows all of it', async () => {
  const hold = { by: 'ada', reason: 'audit', until: null };
  const dates = { expiresAt: '2027-01-01T00:00:00.000Z', immutableUntil: '2026-12-24T00:00:00.000Z' };
  const points = [
    { ...POINT, sequence: 3, state: 'missing' },
    { ...POINT, kind: 'full', state: 'damaged', flags: [], hold, ...dates },
  ];
  service = await scriptedService({ 'GET restorePoints': { body: { value: points } } });
  const { out } = await run(service.url, ['point', 'list']);
  const [, missing = '', damaged = ''] = out.split('\n');
  expect(missing.split(/ {2,}/).slice(10)).toEqual(['missing', 'DW', '-', '-', '-', '-']);
  expect(damaged.split(/ {2,}/)[2]).toBe('full');
  expect(damaged.split(/ {2,}/).slice(10)).toEqual([
    'damaged',
    '-',
    '-',
    'audit',
    '2027-01-01 00:00:00Z',
    '2026-12-24 00:00:00Z',
  ]);
});

test('json prints the array of the service, jsonl a line for each, tsv plain values without a heading', async () => {
  const machines = [MACHINE, { ...MACHINE, name: 'db-1', lastRestorePointAt: null, newField: 1 }];
  service = await scriptedService({ 'GET machines': { body: { value: machines } } });
  expect(JSON.parse((await run(service.url, ['machine', 'list', '-o', 'json'])).out)).toEqual(machines);
  const jsonl = (await run(service.url, ['-o', 'jsonl', 'machine', 'list'])).out;
  expect(
    jsonl
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual(machines);
  expect((await run(service.url, ['machine', 'list', '-o', 'tsv'])).out).toBe(
    `web-1\trunning\twesteurope\tshop\tdemo\tresource group shop\tprotected\t3723\t2026-11-21T22:50:11.123Z\t${MACHINE.id}\n` +
      `db-1\trunning\twesteurope\tshop\tdemo\tresource group shop\tprotected\t3723\t\t${MACHINE.id}\n`,
  );
});

test('a list goes on over nextLink, and sends key and api-version with each page', async () => {
  service = await scriptedService({
    'GET policies': ({ query }) =>
      query.page === '2'
        ? { body: { value: [{ ...POLICY, id: 'second' }] } }
        : {
            body: { value: [POLICY], nextLink: `${service.url}/api/policies?page=2&api-version=2026-11-01` },
          },
  });
  const { out } = await run(service.url, ['policy', 'list', '-o', 'json']);
  expect((JSON.parse(out) as { id: string }[]).map(({ id }) => id)).toEqual(['demo', 'second']);
  expect(service.seen.map(({ key, query }) => [key, query['api-version']])).toEqual([
    ['k3y', '2026-11-01'],
    ['k3y', '2026-11-01'],
  ]);
});

test('a nextLink to another address is refused: the key would go there', async () => {
  service = await scriptedService({
    'GET policies': { body: { value: [], nextLink: 'http://127.0.0.2:1/api/policies' } },
  });
  const { code, err } = await run(service.url, ['policy', 'list']);
  expect([code, err]).toEqual([1, expect.stringContaining('another address')]);
});

test('session list asks for what the options say and stops at the limit', async () => {
  service = await scriptedService({
    'GET sessions': { body: { value: [SESSION, SESSION, SESSION], nextLink: 'never-read' } },
  });
  const { out } = await run(
    service.url,
    'session list --machine web-1 --status running --kind backup --limit 2 -o jsonl'.split(' '),
  );
  expect(out.trimEnd().split('\n')).toHaveLength(2);
  expect(service.seen.map(({ query }) => query)).toEqual([
    { machine: 'web-1', status: 'running', kind: 'backup', maxpagesize: '2', 'api-version': '2026-11-01' },
  ]);
});

test('point list --machine asks for the points of that machine, whatever its name', async () => {
  const path = `machines/${MACHINE.armId}/restorePoints`;
  service = await scriptedService({ [`GET ${path}`]: { body: { value: [] } } });
  const { code, out, err } = await run(service.url, ['point', 'list', '--machine', MACHINE.armId]);
  expect({ code, out, err }).toEqual({ code: 0, out: '', err: 'No restore points yet.\n' });
});

test('an empty list is an empty array for a program', async () => {
  service = await scriptedService({ 'GET restorePoints': { body: { value: [] } } });
  expect((await run(service.url, ['point', 'list', '-o', 'json'])).out).toBe('[]\n');
  expect((await run(service.url, ['point', 'list', '-o', 'tsv'])).out).toBe('');
});

test('colour is for terminals without NO_COLOR', async () => {
  service = await scriptedService({ 'GET sessions': { body: { value: [SESSION] } } });
  const written: string[] = [];
  const stdout = { isTTY: true, write: (text: string) => written.push(text) };
  const env = { HOLDFAST_URL: service.url };
  const coloured = `${String.fromCharCode(27)}[36mrunning`;
  await run(service.url, ['session', 'list'], { stdout, env });
  expect(written.join('')).toContain(coloured);
  written.length = 0;
  await run(service.url, ['session', 'list'], { stdout, env: { ...env, NO_COLOR: '1' } });
  expect(written.join('')).toContain('running');
  expect(written.join('')).not.toContain(String.fromCharCode(27));
});
