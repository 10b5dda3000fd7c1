import { planCompaction, releaseLease } from '../../lib/repository/index.ts';
import { checkContent, checkNumbers, checkRescan, readAll, readReaders, same } from './modelChecks.ts';
import { collectNow, compactNow } from './modelCollection.ts';
import { verifyNow } from './modelDamage.ts';
import { pass } from './modelGuest.ts';
import { removeNow, wakeReaders } from './modelReaders.ts';
import { noNested } from './modelStep.ts';
import { STEPS, type Weighted } from './modelSteps.ts';
import { HOUR, packOf, World } from './modelWorld.ts';

export interface ScheduleOptions {
  readonly seed: number;
  readonly steps: number;
  /** Every so many steps all points are read, and every 5 times as many all is settled. */
  readonly readEvery?: number;
  readonly onStep?: ((step: number, name: string) => void) | undefined;
}

export interface Ran {
  /** How often what happened. */
  readonly counts: ReadonlyMap<string, number>;
  /** The names of the steps, in their order. */
  readonly trace: readonly string[];
}

const MAX_POINTS = 6;
const LAST = 12;

/** Runs a random schedule against the model. Fails with the seed, the step, and the last steps before it. */
export async function runSchedule({ seed, steps, readEvery = 40, onStep }: ScheduleOptions): Promise<Ran> {
  const world = await World.start(seed);
  const trace: string[] = [];
  let step = 0;
  const one = async (from: readonly [string, Weighted][], depth: number): Promise<void> => {
    const [name, { run }] = draw(world, from);
    trace.push(`${'> '.repeat(depth)}${name}`);
    if (depth === 0) onStep?.(step, name);
    const nested = async () => {
      for (let i = 1 + world.dice.int(4); i > 0; i--) await one(INSIDE, depth + 1);
    };
    if ((await run(world, depth > 0 ? noNested : nested)) === false) trace[trace.length - 1] += ' (nothing)';
    else world.count(name);
  };
  try {
    for (step = 1; step <= steps; step++) {
      await pass(world, 1000 + world.dice.int(60_000));
      await one(ALL, 0);
      await wakeReaders(world);
      while (world.points.size > MAX_POINTS) {
        const sequence = world.dice.pick([...world.points.keys()]);
        if (sequence !== undefined) await removeNow(world, sequence);
      }
      await checkNumbers(world);
      await readReaders(world);
      if (step % readEvery === 0) {
        await readAll(world);
        await checkContent(world);
      }
      if (step % (readEvery * 5) === 0) await settle(world);
    }
    await settle(world);
  } catch (error) {
    const last = trace.slice(-LAST).join(', ');
    throw new Error(`seed ${seed}, step ${step}: ${String(error)}\nlast steps: ${last}`, { cause: error });
  }
  return { counts: world.counts, trace };
}

const ALL = Object.entries(STEPS);
const INSIDE = ALL.filter(([, { nested }]) => nested);

function draw({ dice }: World, from: readonly [string, Weighted][]): [string, Weighted] {
  let at = dice.float() * from.reduce((sum, [, { weight }]) => sum + weight, 0);
  for (const one of from) {
    at -= one[1].weight;
    if (at < 0) return one;
  }
  return from[0] as [string, Weighted];
}

/**
 * Nobody uses anything any more, what is damaged beyond repair is given up, and days pass: then all that is left is needed, and
 * the checker finds nothing at all.
 */
async function settle(world: World): Promise<void> {
  const { chain, sessions, ended, readers, undecided, points } = world;
  for (const session of sessions.splice(0)) await session.end();
  ended.splice(0);
  for (const { lease } of readers.splice(0)) await releaseLease(chain.repository, lease);
  world.collections.splice(0);
  world.compactions.splice(0);
  world.time.advance(2 * HOUR);
  await STEPS['sweep']?.run(world, noNested);
  same('numbers that are undecided', [...undecided], []);
  await STEPS['repair']?.run(world, noNested);
  for (const [sequence, lost] of await readAll(world)) {
    if (lost.size > 0) await removeNow(world, sequence);
  }
  for (let cycle = 0; cycle < 3; cycle++) {
    world.time.advance(25 * HOUR);
    await collectNow(world);
    if (cycle < 2) await compactNow(world);
  }
  await verifyNow(world);
  for (const [sequence, lost] of await readAll(world)) same(`lost of point ${sequence}`, [...lost], []);
  await checkRescan(world);
  const { findings, garbage } = await checkContent(world);
  // Of a damaged object that no point needs collection removes nothing that a needed one might replace.
  const sound = (object: string) => !world.hurt.has(packOf(object));
  same(
    'garbage',
    garbage.filter(({ object }) => sound(object)),
    [],
  );
  same(
    'what compaction still finds',
    (await planCompaction(chain, { minWasteBytes: 1 })).packs.filter(({ pack }) => sound(pack)),
    [],
  );
  const still = new Set(findings.map(({ object }) => packOf(object)));
  for (const pack of [...world.hurt]) if (!still.has(pack)) world.hurt.delete(pack);
  world.count('settled');
  same('points', points.size > 0, true);
}
