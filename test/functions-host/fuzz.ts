import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { LocalFunctionsHost } from '../../local/functions-host/host.ts';
import { ManualClock } from '../../local/functions-host/manualClock.ts';
import { samples } from './programs.ts';
import { checkProgram } from './runPrograms.ts';

/**
 * As fuzz.test.ts, as many as you like: `node test/functions-host/fuzz.ts [count] [seed]`. Prints the seed, and
 * on a failure the smallest program that shows it; exits 1 then.
 */
const count = Number(process.argv[2] ?? 3000);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const folder = await mkdtemp(join(tmpdir(), 'holdfast-fuzz-'));
const clock = new ManualClock();
const host = new LocalFunctionsHost({
  appRoot: folder,
  entry: join(import.meta.dirname, 'apps', 'program.ts'),
  stateDir: join(folder, 'state'),
  log: (entry) => process.stderr.write(`${entry.level}: ${entry.message}\n`),
  clock,
});
await host.start();
console.log(`${count} random orchestrations, seed ${seed}`);
const started = performance.now();
let runs = 0;
const property = fc.asyncProperty(samples, async (sample) => {
  await checkProgram(host.engine, clock, sample, `p${runs++}`);
  if (runs % 500 === 0) console.log(`${runs} agree`);
});
try {
  await fc.assert(property, { numRuns: count, seed });
  console.log(`${count} of ${count} agree, ${Math.round((performance.now() - started) / 1000)} s`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof Error && error.cause instanceof Error) console.error(error.cause.message);
  process.exitCode = 1;
} finally {
  await host.stop(1000);
  await rm(folder, { recursive: true, force: true });
}
