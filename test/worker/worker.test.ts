import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { ScriptedApp } from './scriptedApp.ts';

const blobHeaders = {
  'content-length': '5',
  etag: '"0x1"',
  'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
};
/** Storage, of a SAS that is over or was revoked. */
const refused = { status: 403, headers: { 'x-ms-error-code': 'AuthenticationFailed' }, body: '' };

async function start(onTestFinished: TestContext['onTestFinished']): Promise<ScriptedApp> {
  const app = new ScriptedApp();
  onTestFinished(() => app.stop());
  await app.start();
  return app;
}

// As one file, which starts in a fraction of the time that hundreds take.
let dir = '';
let program = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-scripted-'));
  program = join(dir, 'worker.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('./scriptedWorker.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
    banner: {
      js: "import { createRequire } from 'node:module'; var require = createRequire(import.meta.url);",
    },
  });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

// Each test is a process that mostly waits.
describe.concurrent('the worker program', () => {
  it('claims, does and completes jobs, and ends with 0 when it is drained', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('quick');
    app.give('quick', { attempt: 3 });
    app.launch(program);
    expect(await app.ended()).toBe(0);
    expect(app.verbs()).toEqual(['claim', 'complete', 'claim', 'complete', 'claim']);
    expect(
      app.told
        .filter(({ verb }) => verb === 'complete')
        .map(({ body }) => [body['jobId'], body.attempt, body['result']]),
    ).toEqual([
      ['restore-0-0', 1, { kind: 'restore', writtenBytes: 1, blocks: 1 }],
      ['restore-0-1', 3, { kind: 'restore', writtenBytes: 1, blocks: 1 }],
    ]);
    for (const line of app.output.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('event');
  });

  it('a blocked main thread does not lose the claim, and its last progress is told', async ({
    onTestFinished,
  }) => {
    const app = await start(onTestFinished);
    app.give('block');
    app.launch(program);
    expect(await app.ended()).toBe(0);
    const renewals = app.told.filter(({ verb }) => verb === 'renew');
    expect(renewals.length).toBeGreaterThanOrEqual(4);
    expect(renewals.at(-1)?.body['progress']).toEqual({ doneBytes: 1, readBytes: 2, storedBytes: 3 });
    expect(app.verbs()).toEqual(['claim', 'complete', 'claim']);
  });

  it('a stuck job is not kept alive: it is stopped, and given back', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('hang');
    app.launch(program, { stallMs: 200 });
    expect(await app.ended()).toBe(0);
    expect(app.verbs()).toEqual(['claim', 'fail', 'claim']);
    expect(app.told.find(({ verb }) => verb === 'fail')?.body['failure']).toMatchObject({
      code: 'timeout',
      retryable: true,
    });
  });

  it('a stuck job that does not stop ends with its process', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('deaf');
    app.launch(program, { stallMs: 200, graceMs: 200 });
    expect(await app.ended()).toBe('SIGKILL');
    expect(app.verbs()).toEqual(['claim']);
    expect(app.output).toContain('"event":"job.stuck"');
  });

  it.for(['gone', 'cancel'])('%s: the job is stopped without a word', async (what, { onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('hang');
    app.onRenew = () => ({ [what]: true });
    app.launch(program);
    expect(await app.ended()).toBe(0);
    expect(app.verbs()).toEqual(['claim', 'claim']);
  });

  it('an app that cannot be told for as long as a claim lasts has given the job away', async ({
    onTestFinished,
  }) => {
    const app = await start(onTestFinished);
    app.give('hang');
    app.onRenew = () => ({ status: 503, body: '' });
    app.launch(program, { claimMs: 300 });
    expect(await app.ended()).toBe(0);
    expect(app.verbs()).toEqual(['claim', 'claim']);
    expect(app.output).toContain('"event":"job.lost"');
  });

  it('a checkpoint is kept by the app before the job goes on', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('checkpoint', { checkpoint: { window: 0 } });
    app.launch(program, { heartbeatMs: 60_000 });
    expect(await app.ended()).toBe(0);
    expect(app.told.map(({ verb, body }) => [verb, body['checkpoint'] ?? null])).toEqual([
      ['claim', null],
      ['renew', { window: 1 }],
      ['renew', { window: 2, before: { window: 0 } }],
      ['complete', null],
      ['claim', null],
    ]);
  });

  it('what the app does not take ends the job as failed', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('checkpoint');
    app.onRenew = () => ({ status: 400, body: '{"error":{"code":"invalidInput","message":"too large"}}' });
    app.launch(program);
    expect(await app.ended()).toBe(0);
    expect(app.told.find(({ verb }) => verb === 'fail')?.body['failure']).toMatchObject({
      message: expect.stringContaining('too large'),
    });
  });

  it('access that is refused is asked for anew, and the job goes on', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('read', { attempt: 2 });
    const seen: string[] = [];
    app.onOther = (path) => {
      seen.push(path.includes('sig=first') ? 'first' : 'second');
      return path.includes('sig=second') ? { headers: blobHeaders, body: 'hello' } : refused;
    };
    app.onRenew = ({ body }) => (body['refresh'] ? { secrets: app.secrets('second') } : {});
    app.launch(program, { heartbeatMs: 60_000 });
    expect(await app.ended()).toBe(0);
    expect([...new Set(seen)]).toEqual(['first', 'second']);
    expect(app.told.find(({ verb }) => verb === 'complete')?.body['result']).toEqual({
      kind: 'restore',
      writtenBytes: 5,
      blocks: 2,
    });
    expect(app.output).not.toContain('sig=');
  });

  it('access is renewed before it expires', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('hang', { secrets: app.secrets('first', new Date(Date.now() + 60_000)) });
    app.onRenew = ({ body }) => (body['refresh'] ? { secrets: app.secrets('second') } : { cancel: true });
    app.launch(program);
    expect(await app.ended()).toBe(0);
    expect(app.told.filter(({ verb }) => verb === 'renew').map(({ body }) => body['refresh'])).toEqual([
      true,
      false,
    ]);
  });

  it('access that the app does not renew fails the job, to be tried again', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('read');
    app.onOther = () => refused;
    app.launch(program, { heartbeatMs: 60_000 });
    expect(await app.ended()).toBe(0);
    expect(app.told.find(({ verb }) => verb === 'fail')?.body['failure']).toMatchObject({
      code: 'accessExpired',
      retryable: true,
    });
  });

  it('a failure is told with its code, and without signatures', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    app.give('fail');
    app.give('broken');
    app.launch(program);
    expect(await app.ended()).toBe(0);
    const failures = app.told.filter(({ verb }) => verb === 'fail').map(({ body }) => body['failure']);
    expect(failures).toEqual([
      { code: 'unavailable', message: 'https://x.blob/y?sv=1&sig=REDACTED did not answer', retryable: true },
      { code: 'internal', message: 'a bug', retryable: false },
    ]);
    expect(app.output + JSON.stringify(app.told)).not.toContain('topsecret');
  });

  it('a worker that the app does not know yet goes on asking', async ({ onTestFinished }) => {
    const app = await start(onTestFinished);
    let refusals = 2;
    app.onClaim = () => (refusals-- > 0 ? { status: 401, body: '{}' } : null);
    app.launch(program);
    expect(await app.ended()).toBe(0);
    expect(app.verbs()).toEqual(['claim', 'claim', 'claim']);
  });

  it.for(['hang', 'deaf'])(
    'SIGTERM gives the running job back (%s), and ends with 0',
    async (script, { onTestFinished }) => {
      const app = await start(onTestFinished);
      app.give(script);
      app.launch(program);
      await app.until(({ verb }) => verb === 'renew');
      app.child.kill('SIGTERM');
      expect(await app.ended()).toBe(0);
      expect(app.verbs()).toEqual(['claim', 'fail']);
      expect(app.told.find(({ verb }) => verb === 'fail')?.body['failure']).toMatchObject({
        code: 'abandoned',
        retryable: true,
      });
    },
  );
});
