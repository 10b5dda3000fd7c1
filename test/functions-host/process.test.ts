import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { hostEnvironment, startHostProcess } from './hostProcess.ts';
import { temporaryFolder } from './runHost.ts';

test.each([
  [
    'refused/bindings.ts',
    [
      "function 'onQueue': the trigger 'queueTrigger' is not supported",
      "function 'writesBlob': the output binding 'blob' is not supported",
      "function 'retriedTimer': a retry policy on a trigger is not supported",
      "function 'counter': the trigger 'entityTrigger' is not supported",
    ],
  ],
  ['refused/streaming.ts', ['enableHttpStream: true }): HTTP streaming is not supported']],
  ['refused/throwing.ts', ['The app cannot start', 'throwing.ts failed: Error: the setting FOO is missing']],
  ['refused/empty.ts', ['registers no function with @azure/functions']],
  [
    'refused/schedule.ts',
    ["The timer function 'never' cannot run", '"sometimes" is not an NCRONTAB schedule'],
  ],
  ['refused/route.ts', ["Function 'coloured'", 'the constraint "colour", which is not supported']],
  ['refused/missing.ts', ['The app cannot start', 'missing.ts']],
])('the app %s is refused at start, saying what and where', async (entry, texts) => {
  const { ready, ended } = startHostProcess(hostEnvironment(entry, await temporaryFolder()));
  expect(await ready).toBeUndefined();
  const { code, stderr } = await ended;
  expect(code).toBe(1);
  for (const text of texts) expect(stderr).toContain(text);
});

test('settings that are missing or wrong are named', async () => {
  const good = hostEnvironment('basics.ts', await temporaryFolder());
  const wrong = { ...good, HOLDFAST_HOST_ENTRY: '', HOLDFAST_HOST_PORT: '70000', HOLDFAST_HOST_TLS_KEY: 'x' };
  const { code, stderr } = await startHostProcess(wrong).ended;
  expect(code).toBe(1);
  for (const name of ['HOLDFAST_HOST_ENTRY', 'HOLDFAST_HOST_PORT']) expect(stderr).toContain(name);
});

test('a host.json that cannot be read is named, with the setting', async () => {
  const root = await temporaryFolder();
  const durableTask = { hubName: '%HOLDFAST_UNSET_HUB%' };
  await writeFile(join(root, 'host.json'), JSON.stringify({ extensions: { durableTask } }));
  const { stderr } = await startHostProcess(hostEnvironment('basics.ts', root)).ended;
  expect(stderr).toMatch(/host\.json cannot be used: .*HOLDFAST_UNSET_HUB.* is not set/);
});

test('SIGTERM ends a host gently: the request that runs is answered, the exit code is 0', async () => {
  const { child, ready, ended } = startHostProcess(hostEnvironment('basics.ts', await temporaryFolder()));
  const info = await ready;
  expect(info?.functions.map((one) => one.name)).toContain('hello');
  const url = `${info?.url ?? ''}/runtime/webhooks/durabletask/orchestrators/sequence?code=system-key&timeout=20`;
  const answers = await Promise.all([1, 2].map((n) => fetch(url, { method: 'POST', body: String(n) })));
  expect(answers.map((answer) => answer.status)).toEqual([200, 200]);
  child.kill('SIGTERM');
  expect(await ended).toMatchObject({ code: 0, signal: null });
});

test('an app that is one bundle, libraries included, runs like its source', async () => {
  const root = await temporaryFolder();
  const outfile = join(root, 'app.mjs');
  const require =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  await build({
    entryPoints: [join(import.meta.dirname, 'apps', 'basics.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['@azure/functions-core'],
    banner: { js: require },
  });
  const env = { ...hostEnvironment('basics.ts', root), HOLDFAST_HOST_ENTRY: 'app.mjs' };
  const { child, ready, ended } = startHostProcess(env);
  const { url } = (await ready) ?? { url: '' };
  const response = await fetch(`${url}/api/hello/bundle`);
  expect([response.status, await response.json()]).toMatchObject([201, { params: { name: 'bundle' } }]);
  child.kill('SIGTERM');
  expect((await ended).code).toBe(0);
});

test('a second host on the same hub is refused', async () => {
  const env = hostEnvironment('basics.ts', await temporaryFolder());
  const first = startHostProcess(env);
  await first.ready;
  const { code, stderr } = await startHostProcess(env).ended;
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining('Another Functions host works on the task hub'),
  ]);
  first.child.kill('SIGINT');
  expect((await first.ended).code).toBe(0);
});

test('a host whose parent goes away ends: its stdin is closed', async () => {
  const env = hostEnvironment('basics.ts', await temporaryFolder());
  const { child, ready, ended } = startHostProcess(env, ['pipe', 'pipe', 'pipe']);
  expect(await ready).toBeDefined();
  child.stdin?.end();
  expect(await ended).toMatchObject({ code: 0 });
});

test('a host whose parent goes away ends: its IPC channel is closed', async () => {
  const env = hostEnvironment('basics.ts', await temporaryFolder());
  const { child, ready, ended } = startHostProcess(env, ['ignore', 'pipe', 'pipe', 'ipc']);
  expect(await ready).toBeDefined();
  child.disconnect();
  expect(await ended).toMatchObject({ code: 0 });
});
