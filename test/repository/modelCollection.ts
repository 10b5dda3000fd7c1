/** Collection and compaction: at once, cut off, paused, and late, with and without their fences. */
import { isHoldfastError } from '../../lib/model/index.ts';
import { compactPack } from '../../lib/repository/collect/compact.ts';
import {
  type CollectionPlan,
  type CompactionPlan,
  collect,
  compact,
  planCollection,
  planCompaction,
} from '../../lib/repository/index.ts';
import { Crash, type CrashPlan } from '../datapath/faultyStore.ts';
import { CALLS, crashing, pausing, type Step } from './modelStep.ts';
import { HOUR, type Planned, type World } from './modelWorld.ts';

const COLLECTOR_LOSES = ['notOwner', 'claimLost', 'conflict', 'missingObject'] as const;

const planC = (world: World, plan?: CrashPlan) => planCollection(world.process(plan).chain);
const planK = (world: World, plan?: CrashPlan) =>
  planCompaction(world.process(plan).chain, { minWasteBytes: 1 });

/** Plans and executes in a process that may die or pause; false where it did not come to its end. */
async function maintain(world: World, what: 'collect' | 'compact', plan?: CrashPlan): Promise<boolean> {
  const options = { installation: world.owner };
  const { chain } = world.process(plan);
  try {
    if (what === 'collect') {
      const { removed } = await collect(chain, await planC(world, plan), options);
      world.count('collected objects', removed);
    } else {
      const { compacted } = await compact(chain, await planK(world, plan), options);
      world.count('compacted packs', compacted);
    }
    return true;
  } catch (error) {
    if (!plan?.fired) throw error;
    if (error instanceof Crash) return false;
    if (!COLLECTOR_LOSES.some((code) => isHoldfastError(error, code))) throw error;
    return false;
  }
}

export const collectNow = (world: World) => maintain(world, 'collect');
export const compactNow = (world: World) => maintain(world, 'compact');
export const collectFresh: Step = async (world) => void (await collectNow(world));
export const compactFresh: Step = async (world) => void (await compactNow(world));

export const maintenanceDies: Step = async (world) => {
  const plan = crashing(world, CALLS.collection);
  await maintain(world, world.dice.chance(0.6) ? 'collect' : 'compact', plan);
  if (plan.fired) world.count('cut maintenance');
};

export const maintenancePauses: Step = async (world, nested) => {
  const plan = pausing(world, CALLS.collection, nested);
  await maintain(world, world.dice.chance(0.6) ? 'collect' : 'compact', plan);
  if (plan.fired) world.count('paused maintenance');
};

export const planForLater: Step = async (world) => {
  const { owner: installation, collections, compactions } = world;
  collections.push({ plan: await planC(world), installation });
  compactions.push({ plan: await planK(world), installation });
  if (collections.length > 6) collections.shift();
  if (compactions.length > 6) compactions.shift();
};

/** What the fence says of an old plan: null, go on. */
function fenced(world: World, { plan, installation }: Planned<CollectionPlan | CompactionPlan>) {
  if (installation !== world.owner || plan.owner?.counter !== world.terms.get(world.owner)) return 'notOwner';
  const age = world.time.at.getTime() - Date.parse(plan.plannedAt);
  return age >= 6 * HOUR ? 'conflict' : null;
}

async function executeLate(
  world: World,
  late: Planned<CollectionPlan | CompactionPlan>,
  run: (options: { installation: string }) => Promise<unknown>,
): Promise<void> {
  const code = fenced(world, late);
  const error = await run({ installation: late.installation }).then(
    () => null,
    (failed: unknown) => failed,
  );
  if (code === null ? error !== null : !isHoldfastError(error, code))
    throw new Error(`an old plan: ${String(error)} instead of ${code}`, { cause: error });
  world.count(code === null ? 'late plans' : 'fenced plans');
}

export const collectLate: Step = async (world) => {
  const late = world.dice.take(world.collections);
  if (!late || late.plan.garbage.length === 0) return false;
  await executeLate(world, late, (options) => collect(world.chain, late.plan, options));
  // And like one that fell asleep inside a batch: no fence stops it any more.
  if (world.dice.chance(0.5)) return;
  for (const { store, name, etag } of late.plan.garbage) {
    await world.stores[store].remove(name, etag).catch((error: unknown) => {
      if (!isHoldfastError(error, 'preconditionFailed')) throw error;
    });
  }
  world.count('unfenced plans');
};

export const compactLate: Step = async (world) => {
  const late = world.dice.take(world.compactions);
  if (!late || late.plan.packs.length === 0) return false;
  await executeLate(world, late, (options) => compact(world.chain, late.plan, options));
  if (world.dice.chance(0.5)) return;
  for (const pack of late.plan.packs) {
    await compactPack(world.chain, pack).catch((error: unknown) => {
      if (!isHoldfastError(error, 'corruptObject') || !world.hurt.has(pack.pack)) throw error;
    });
  }
  world.count('unfenced plans');
};
