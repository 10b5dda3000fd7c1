import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildBundles } from '../../build.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-build-'));
  await buildBundles(['app', 'worker'], folder);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(['app', 'worker'])(
  '%s.mjs needs nothing but Node: it is one module that loads anywhere',
  (name) => {
    const file = join(folder, `${name}.mjs`);
    const checked = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' });
    expect([checked.status, checked.stderr]).toEqual([0, '']);
    const imported = [...readFileSync(file, 'utf8').matchAll(/^import\b[^;]*?from\s*["']([^"']+)["']/gm)].map(
      ([, from]) => from,
    );
    expect(imported.length).toBeGreaterThan(0);
    expect(imported.filter((from) => !from?.startsWith('node:') && !isBuiltIn(from ?? ''))).toEqual([]);
  },
);

test('the app leaves out only what the host injects', () => {
  expect(readFileSync(join(folder, 'app.mjs'), 'utf8')).toContain('@azure/functions-core');
});

test('the worker bundle starts, and says which settings it misses', () => {
  const started = spawnSync(process.execPath, [join(folder, 'worker.mjs')], {
    encoding: 'utf8',
    env: {},
    timeout: 20_000,
  });
  expect(started.status).not.toBe(0);
  expect(`${started.stdout}${started.stderr}`).not.toMatch(/SyntaxError|ReferenceError|ERR_MODULE_NOT_FOUND/);
});

const isBuiltIn = (name: string): boolean => process.getBuiltinModule(name) !== undefined;
