/**
 * Random schedules for as long as wanted: `npx node test/repository/modelRun.ts [steps] [seed] [steps a schedule]`. Each
 * schedule begins with an empty repository, under the next seed; what fails is repeated with the seed that it prints.
 */
import { runSchedule } from './modelSchedule.ts';

const [steps = 20_000, first = Date.now() % 2 ** 31, each = 2000] = process.argv.slice(2).map(Number);
const sums = new Map<string, number>();
const started = Date.now();
let done = 0;
for (let seed = first; done < steps; seed++) {
  const count = Math.min(each, steps - done);
  const onStep = process.env['HOLDFAST_TRACE']
    ? (step: number, name: string) => console.log(`${step} ${name}`)
    : undefined;
  const { counts } = await runSchedule({ seed, steps: count, onStep });
  for (const [name, times] of counts) sums.set(name, (sums.get(name) ?? 0) + times);
  done += count;
  console.log(`seed ${seed}: ${done} steps, ${Math.round((Date.now() - started) / 1000)} s`);
}
console.log(Object.fromEntries([...sums].sort(([a], [b]) => a.localeCompare(b))));
