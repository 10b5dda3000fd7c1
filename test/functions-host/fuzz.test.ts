import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { samples } from './programs.ts';
import { runHost } from './runHost.ts';
import { checkProgram } from './runPrograms.ts';

test('300 random orchestrations, replayed by durable-functions, return what a simple interpreter says', async () => {
  const { engine, clock, log } = await runHost({ appName: 'program.ts' });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(samples, (sample) => checkProgram(engine, clock, sample, `p${count++}`)),
    { numRuns: 300 },
  );
  expect(count).toBeGreaterThanOrEqual(300);
  // None of them makes a mistake that the real host would not forgive.
  expect(log.filter((entry) => entry.level !== 'information')).toEqual([]);
});
