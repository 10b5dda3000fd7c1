import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { DemoReport } from '../../local/demo/report.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('npm run demo: full, incremental and both restores, identical to the snapshots, with nothing left behind', async () => {
  const temporary = mkdtempSync(join(tmpdir(), 'holdfast-demo-test-'));
  const child = spawn(process.execPath, ['--import', './requireNode.mjs', 'local/demo.ts', '--json'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  const left = readdirSync(temporary);
  rmSync(temporary, { recursive: true, force: true });
  expect([code, err]).toEqual([0, expect.stringContaining('All as it must be')]);
  const report = JSON.parse(out) as DemoReport;
  expect(report).toMatchObject({
    points: [
      { kind: 'full', disks: [{ readReason: 'first' }, { readReason: 'first' }] },
      { kind: 'incremental', disks: [{ readReason: 'changedBlocks' }, { readReason: 'changedBlocks' }] },
    ],
    restores: [{ identical: true }, { identical: true }],
    left: { openGrants: [], runningWorkers: [] },
  });
  expect(report.workers.length).toBeGreaterThan(0);
  for (const disk of report.points[1]?.disks ?? []) {
    expect(disk.readBytes).toBeGreaterThan(0);
    expect(disk.readBytes).toBeLessThanOrEqual(disk.allowedReadBytes ?? 0);
    expect(disk.readBytes).toBeLessThan(disk.allocatedBytes / 2);
  }
  expect(left).toEqual([]);
}, 240_000);
