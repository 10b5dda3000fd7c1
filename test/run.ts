/**
 * `npm test`: the static checks, then every test. Ends with one plain line, `N passed, N failed, N skipped`, whatever the
 * reporters print, so that a reader of the output needs to know no test runner.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
}

const LOOK_MS = 5_000;
/** Vitest writes its report last. It has been seen to stay after that, with nothing left to do. */
const LINGER_MS = 60_000;

async function runTests(): Promise<VitestReport> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-report-'));
  const file = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  try {
    const child = spawn('vitest', ['run', ...reporters, ...process.argv.slice(2)], {
      stdio: 'inherit',
      detached: true,
    });
    const code = await ended(child, file);
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
    // A file that does not load, or an error outside of any test, fails no test but fails the run.
    const counted = report.numFailedTests > 0 || code === 0;
    return counted ? report : { ...report, numFailedTests: Math.max(1, report.numFailedTestSuites) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The exit code of the test runner; 0 when it had to be ended after its report was complete. */
async function ended(child: ChildProcess, report: string): Promise<number> {
  let reportedAt = 0;
  let cut = false;
  const look = setInterval(() => {
    if (!existsSync(report)) return;
    reportedAt ||= Date.now();
    if (Date.now() - reportedAt < LINGER_MS || cut || child.pid === undefined) return;
    cut = true;
    console.log('The test runner has reported and does not end; it is ended.');
    process.kill(-child.pid, 'SIGKILL');
  }, LOOK_MS);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => child.pid !== undefined && process.kill(-child.pid, signal));
  }
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return cut ? 0 : (code ?? 1);
  } finally {
    clearInterval(look);
  }
}

const checked = spawnSync('npm', ['run', '--silent', 'check'], { stdio: 'inherit' }).status === 0;
const report = await runTests();
const failed = report.numFailedTests + (checked ? 0 : 1);
if (!checked) console.log('npm run check failed; it counts as one failed test.');
console.log(`${report.numPassedTests} passed, ${failed} failed, ${report.numPendingTests} skipped`);
process.exitCode = failed === 0 && report.numPassedTests > 0 ? 0 : 1;
