import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { POINT, SESSION } from './samples.ts';
import { refusal, run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>> | undefined;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
});
afterEach(async () => {
  await service?.close();
  service = undefined;
  rmSync(folder, { recursive: true });
});

test.each([
  [400, 'invalidInput', 2],
  [404, 'notFound', 3],
  [401, 'unauthorized', 4],
  [403, 'forbidden', 4],
  [409, 'conflict', 1],
  [500, 'internal', 1],
])('an answer of %i %s gives exit code %i and the message on stderr', async (status, errorCode, exitCode) => {
  service = await scriptedService({ 'GET machines': refusal(status, errorCode, 'Because of that.') });
  expect(await run(service.url, ['machine', 'list'])).toEqual({
    code: exitCode,
    out: '',
    err: 'holdfast: Because of that.\n',
  });
  expect(service.seen).toHaveLength(1);
});

test('a machine that is being backed up says which session to follow', async () => {
  const target = `http://x/api/sessions/${SESSION.id}?api-version=2026-11-01`;
  service = await scriptedService({
    'POST backups': refusal(409, 'previousRunning', 'web-1 is busy.', target),
  });
  const { code, err } = await run(service.url, ['backup', 'start', 'web-1']);
  expect(code).toBe(1);
  expect(err).toContain('web-1 is busy.');
  expect(err).toContain(`holdfast session show ${SESSION.id} --wait`);
});

test('a read is asked again when the service is away for a moment, a start is not', async () => {
  const away = refusal(503, 'unavailable', 'Not now.');
  service = await scriptedService({
    'GET restorePoints': [away, away, { body: { value: [POINT] } }],
    'POST backups': away,
  });
  expect((await run(service.url, ['point', 'list', '-o', 'jsonl'])).code).toBe(0);
  expect((await run(service.url, ['backup', 'start', 'web-1'])).code).toBe(1);
  expect(service.seen.map(({ method }) => method)).toEqual(['GET', 'GET', 'GET', 'POST']);
});

test('a key that the host refuses without a word is explained', async () => {
  service = await scriptedService({ 'GET machines': { status: 401, body: '' } });
  const { code, err } = await run(service.url, ['machine', 'list']);
  expect([code, err]).toEqual([4, expect.stringContaining('HOLDFAST_KEY')]);
});

test('an answer of another shape is refused, not shown', async () => {
  service = await scriptedService({ 'GET machines': { body: { value: [{ name: 7 }] } } });
  const { code, out, err } = await run(service.url, ['machine', 'list', '-o', 'json']);
  expect([code, out, err]).toEqual([1, '', expect.stringContaining('same version')]);
});

test('nobody there: it says so, and how to start it', async () => {
  service = await scriptedService({});
  const { url } = service;
  await service.close();
  const { code, err } = await run(url, ['machine', 'list']);
  expect([code, err]).toEqual([1, expect.stringMatching(/No Holdfast answers at .*ECONNREFUSED.*npm start/)]);
});

test.each([
  [['bakup']],
  [['backup', 'start']],
  [['point', 'list', '-o', 'xml']],
  [['restore', 'disk', 'not-a-point']],
  [['restore', 'disk', '0123456789abcdef/2', '--disk', 'first']],
  [['session', 'list', '--limit', '0']],
  [['machine']],
])('wrong usage gives 2 and asks nobody: %j', async (argv) => {
  service = await scriptedService({});
  const { code, err, out } = await run(service.url, argv);
  expect([code, out]).toEqual([2, '']);
  expect(err).not.toBe('');
  expect(service.seen).toEqual([]);
});

test('the connection of a local run is found from a folder below it, with its key', async () => {
  service = await scriptedService({ 'GET restorePoints': { body: { value: [] } } });
  mkdirSync(join(folder, '.holdfast'));
  mkdirSync(join(folder, 'a', 'b'), { recursive: true });
  writeFileSync(
    join(folder, '.holdfast', 'run.json'),
    JSON.stringify({ url: service.url, key: 'local', pids: {} }),
  );
  expect((await run(undefined, ['point', 'list'], { cwd: join(folder, 'a', 'b') })).code).toBe(0);
  expect(service.seen.map(({ key }) => key)).toEqual(['local']);
});

test('the key of the local run never goes to another address', async () => {
  service = await scriptedService({ 'GET restorePoints': { body: { value: [] } } });
  mkdirSync(join(folder, '.holdfast'));
  writeFileSync(
    join(folder, '.holdfast', 'run.json'),
    JSON.stringify({ url: 'http://127.0.0.1:9', key: 'local' }),
  );
  await run(undefined, ['point', 'list', '--url', service.url], { cwd: folder });
  expect(service.seen.map(({ key }) => key)).toEqual([undefined]);
});

test('without any connection it says how to get one', async () => {
  const { code, err } = await run(undefined, ['point', 'list'], {
    env: { HOLDFAST_STATE: folder },
    cwd: folder,
  });
  expect([code, err]).toEqual([1, expect.stringContaining('npm start')]);
});

test('the bin runs as a process: help on stdout, exit codes of its own', () => {
  const bin = fileURLToPath(new URL('../../cli/holdfast.js', import.meta.url));
  const call = (...argv: string[]) =>
    spawnSync(process.execPath, [bin, ...argv], { encoding: 'utf8', env: { HOLDFAST_STATE: folder } });
  expect(call('--help')).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('restore points') as string,
  });
  expect(call('point', 'list', '-o', 'xml').status).toBe(2);
  expect(call('point', 'list')).toMatchObject({ status: 1, stdout: '' });
});
