import { expect, test } from 'vitest';
import { runSchedule } from './modelSchedule.ts';
import { STEPS } from './modelSteps.ts';

/** Others, and more: `HOLDFAST_SEED=7 HOLDFAST_STEPS=20000`, or `modelRun.ts`. */
const SEED = Number(process.env['HOLDFAST_SEED'] ?? 1);
const COUNT = Number(process.env['HOLDFAST_STEPS'] ?? 2000);

/** What a schedule must have brought about, besides each of its steps, to have shown anything. */
const SHOWN = [
  'a session: died',
  'a session: gone',
  'a session: lost',
  'blocks found lost',
  'blocks read again',
  'collected objects',
  'compacted packs',
  'cut backups',
  'cut maintenance',
  'fenced plans',
  'generations of repair',
  'generations replaced',
  'late plans',
  'leased reads',
  'lost leases',
  'overtaken commits',
  'paused backups',
  'paused maintenance',
  'points healed',
  'points read',
  'shards by two workers',
  'swept numbers',
  'unfenced plans',
];

test('whatever happens in whatever order, retained points are the model byte for byte, nothing live is collected, and what is dead goes', async () => {
  const { counts } = await runSchedule({ seed: SEED, steps: COUNT });
  const missing = [...Object.keys(STEPS), ...SHOWN].filter((what) => !counts.get(what));
  expect(COUNT < 2000 ? [] : missing).toEqual([]);
}, 600_000);

test('the same seed gives the same schedule', async () => {
  const [one, again] = [await runSchedule({ seed: 7, steps: 60 }), await runSchedule({ seed: 7, steps: 60 })];
  expect(again).toEqual(one);
});
