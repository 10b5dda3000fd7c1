/** Packs are damaged, verified and repaired. */
import { healChain, type VerifyResult, verifyRepository } from '../../lib/repository/index.ts';
import { Crash } from '../datapath/faultyStore.ts';
import { carryOn, newSession } from './modelBackups.ts';
import { checkMarks, same } from './modelChecks.ts';
import { CALLS, crashing, type Step } from './modelStep.ts';
import { type World } from './modelWorld.ts';

export const damage: Step = async (world) => {
  const { stores, dice, hurt } = world;
  if (hurt.size > 5) return false;
  const needed = new Set(
    [...world.points.values()].flatMap(({ places }) => [...places.values()].map(({ pack }) => pack)),
  );
  const pack = dice.pick([...needed].sort());
  if (!pack) return false;
  const objects: string[] = [];
  for await (const { name } of stores.data.list(pack.replace(/\.pack$/, '.'))) objects.push(name);
  const name = dice.pick(objects);
  if (!name) return false;
  hurt.add(pack);
  if (dice.chance(0.3)) {
    await stores.data.remove(name);
    return;
  }
  const { bytes, etag } = await stores.data.read(name);
  const at = dice.int(bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.int(8));
  await stores.data.replace(name, bytes, etag);
};

export const verifyNow = async (world: World): Promise<VerifyResult> => {
  const depth = world.dice.chance(0.5) ? 'content' : 'rolling';
  const result = await verifyRepository(world.chain.repository, { depth, clock: world.clock });
  same('a verification without a budget', result.complete, true);
  await checkMarks(world, result);
  return result;
};
export const verify: Step = async (world) => void (await verifyNow(world));

export const verifyDies: Step = async (world) => {
  const plan = crashing(world, CALLS.mark);
  const depth = world.dice.chance(0.5) ? 'content' : 'rolling';
  const { repository } = world.process(plan).chain;
  await verifyRepository(repository, { depth, clock: world.clock }).catch((error: unknown) => {
    if (!(error instanceof Crash)) throw error;
  });
  await verifyNow(world);
};

export const verifyPart: Step = async (world) => {
  const budget = { bytes: 1 + world.dice.int(40_000) };
  await verifyRepository(world.chain.repository, { depth: 'rolling', clock: world.clock, budget });
};

/** Verification, a backup that reads again what is lost, and the older points get it back; damaged generations are replaced. */
export const repair: Step = async (world) => {
  const { spoiled } = await verifyNow(world);
  await carryOn(world, newSession(world), 'commit');
  const now = world.time.at;
  if (world.dice.chance(0.3)) {
    const plan = crashing(world, CALLS.mark);
    await healChain(world.process(plan).chain, { now, spoiled }).catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error;
    });
  }
  const healed = await healChain(world.chain, { now, spoiled });
  await checkMarks(world, healed);
  const after = await verifyRepository(world.chain.repository, { depth: 'content', clock: world.clock });
  // One of which no block can be read is not replaced: what needs it is marked.
  const lost = new Set(after.findings.flatMap(({ object, points }) => (points.length > 0 ? [object] : [])));
  const left = after.spoiled.filter((name) => !lost.has(name));
  same('damaged generations after a repair', left, []);
  world.count('generations replaced', spoiled.length);
  world.count('generations of repair', healed.written.length);
  world.count('points healed', healed.healed.length);
};
