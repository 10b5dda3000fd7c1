/**
 * `npm test`: the static checks, then every test. Ends with one plain line, `N passed, N failed, N skipped`, whatever the
 * reporters print, so that a reader of the output needs to know no test runner.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
}

function run(command: string, args: readonly string[]): boolean {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error) console.error(`${command} did not start: ${error.message}`);
  return status === 0;
}

function runTests(): VitestReport {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-report-'));
  const file = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  try {
    const succeeded = run('vitest', ['run', ...reporters, ...process.argv.slice(2)]);
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
    // A file that does not load, or an error outside of any test, fails no test but fails the run.
    const counted = report.numFailedTests > 0 || succeeded;
    return counted ? report : { ...report, numFailedTests: Math.max(1, report.numFailedTestSuites) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const checked = run('npm', ['run', '--silent', 'check']);
const report = runTests();
const failed = report.numFailedTests + (checked ? 0 : 1);
if (!checked) console.log('npm run check failed; it counts as one failed test.');
console.log(`${report.numPassedTests} passed, ${failed} failed, ${report.numPendingTests} skipped`);
process.exitCode = failed === 0 && report.numPassedTests > 0 ? 0 : 1;
