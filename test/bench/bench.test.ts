import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { BenchReport } from '../../bench/runs.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const able =
  spawnSync('mke2fs', ['-V']).error === undefined && spawnSync('debugfs', ['-V']).error === undefined;

test.skipIf(!able)(
  'the bench backs up, restores and verifies a real file system through the data planes, and says what it took',
  () => {
    const json = join(folder, 'report.json');
    const main = new URL('../../bench/main.ts', import.meta.url).pathname;
    const done = spawnSync(process.execPath, [main, '--quick', '--folder', folder, '--json', json], {
      encoding: 'utf8',
    });
    expect(done.stderr).not.toMatch(/Error/);
    expect(done.status).toBe(0);
    const { runs, limit, images, machine } = JSON.parse(readFileSync(json, 'utf8')) as BenchReport;
    expect(runs.map(({ tool, op, compare }) => `${tool} ${op} ${compare}`).sort()).toEqual([
      'holdfast full false',
      'holdfast full true',
      'holdfast incremental true',
      'holdfast restore true',
      'holdfast verify true',
    ]);
    for (const run of runs) {
      expect(run.wallS, run.op).toBeGreaterThan(0);
      expect(run.cpuS, run.op).toBeGreaterThan(0);
      expect(run.rssMiB, run.op).toBeGreaterThan(20);
      expect(run.rssMiB, run.op).toBeLessThan(450);
      expect(run.requests, run.op).toBeGreaterThan(0);
    }
    const stored = (op: string) => runs.find((run) => run.op === op)?.storedBytes ?? 0;
    expect(stored('full')).toBeGreaterThan(images.allocatedBytes / 8);
    expect(stored('full')).toBeLessThan(images.allocatedBytes * 1.01);
    expect(stored('incremental')).toBeGreaterThan(0);
    expect(stored('incremental')).toBeLessThan(stored('full') / 2);
    expect(limit.comparedMBs).toBeGreaterThan(0);
    expect(limit.comparedMBs).toBeLessThan(limit.backupMBs * 1.2);
    expect(machine.cores).toBeGreaterThan(0);
  },
  180_000,
);
