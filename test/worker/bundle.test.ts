import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { buildBundles } from '../../build.ts';
import { encodeChainKeys } from '../../lib/repository/index.ts';
import { packageWorker } from '../../lib/workers/packageWorker.ts';
import { ScriptedApp } from './scriptedApp.ts';

it('as one bundled file the worker does jobs, its heartbeat in a thread of the same file', async () => {
  const app = new ScriptedApp();
  onTestFinished(() => app.stop());
  await app.start();
  const outfile = join(app.loopback.dir, 'worker.mjs');
  await buildBundles(['worker'], app.loopback.dir);
  const chainKey = encodeChainKeys({ mode: 'none', seal: null, digest: null }).toString('base64');
  app.give('no such table', { secrets: { ...app.secrets('first'), chainKey } });
  // Only the heartbeat's thread renews, and here only because fresh access is asked for.
  app.onOther = () => ({ status: 403, headers: { 'x-ms-error-code': 'AuthenticationFailed' }, body: '' });
  app.launch(outfile);
  await app.until(({ verb }) => verb === 'fail');
  expect(app.told.map(({ verb, body }) => [verb, body['refresh'] ?? null])).toEqual([
    ['claim', null],
    ['renew', true],
    ['fail', null],
  ]);
  const made = await packageWorker({ bundle: outfile }, join(app.loopback.dir, 'packages'));
  expect(made.bytes).toBeLessThan(4_000_000);
});
