import { isHoldfastError } from '../../lib/model/index.ts';
import { compactPack } from '../../lib/repository/collect/compact.ts';
import {
  assertOwner,
  type CollectionPlan,
  type CompactionPlan,
  collect,
  compact,
  createLease,
  healChain,
  planCollection,
  planCompaction,
  readClaim,
  readManifest,
  releaseLease,
  removePoint,
  renewClaim,
  renewLease,
  takeOwnership,
  verifyRepository,
  voidClaim,
} from '../../lib/repository/index.ts';
import { Crash, CrashPlan } from '../datapath/faultyStore.ts';
import type { ModelDisk } from '../datapath/modelDisk.ts';
import { checkMarks, checkRescan, same } from './modelChecks.ts';
import { ModelSession, type Phase } from './modelSession.ts';
import { HOUR, MINUTE, PausePlan, type Planned, type World } from './modelWorld.ts';

/** False: there was nothing to do it to. */
export type Step = (world: World, nested: Nested) => Promise<boolean | void>;
/** Runs other steps in the middle of this one. */
export type Nested = () => Promise<void>;

const CALLS = { session: 70, collection: 60, mark: 60 };

const crashing = ({ dice }: World, calls: number): CrashPlan =>
  new CrashPlan(1 + dice.int(calls), dice.chance(0.5) ? 'before' : 'after');

const pausing = ({ dice }: World, calls: number, nested: Nested): PausePlan =>
  new PausePlan(1 + dice.int(calls), nested);

// --- the guest, and time

const guest: Step = async (world) => {
  const { dice, os, data } = world;
  for (let i = 1 + dice.int(3); i > 0; i--) {
    const disk = dice.chance(0.7) ? os : data;
    // Near the beginnings of pages, so that a disk is many pages and few blocks.
    const page = dice.int(Math.ceil(disk.sectors / 2048)) * 2048;
    const first = page + dice.int(Math.min(160, disk.sectors - page));
    const count = 1 + dice.int(Math.min(60, disk.sectors - first));
    if (dice.chance(0.25)) disk.discard(first, count);
    else disk.write(first, count, dice.int(2000));
  }
};

const grow: Step = async ({ dice, data }) => {
  if (data.sectors > 8 * 300) return false;
  data.grow(1 + dice.int(200));
};

/** Time passes; who is awake renews. */
export async function pass(world: World, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 40 * MINUTE) {
    world.time.advance(Math.min(left, 40 * MINUTE));
    for (const reader of world.readers)
      if (reader.awake) await renewLease(world.chain.repository, reader.lease);
  }
}

const minutes: Step = (world) => pass(world, world.dice.float() * 50 * MINUTE);
const hours: Step = (world) => pass(world, world.dice.float() * 12 * HOUR);
const days: Step = (world) => pass(world, (1 + world.dice.float() * 3) * 24 * HOUR);

// --- sessions

function newSession(world: World): ModelSession {
  const { dice, os, data } = world;
  const disks: ModelDisk[] = dice.chance(0.6) ? [os, data] : [os];
  return new ModelSession(world, disks, dice.chance(0.25) ? 'scheduled' : 'changedBlocks');
}

/** Lists it where it belongs now. */
function file(world: World, session: ModelSession): void {
  const decided = world.points.has(session.sequence) || world.voids.has(session.sequence);
  const from = world.sessions.indexOf(session);
  if (from >= 0) world.sessions.splice(from, 1);
  if (!decided) return void world.sessions.push(session);
  world.ended.push(session);
  if (world.ended.length > 8) world.ended.shift();
}

async function carryOn(world: World, session: ModelSession, until: Phase, plan?: CrashPlan) {
  const outcome = await session.go(until, plan);
  world.count(`a session: ${outcome}`);
  if (outcome === 'gone') await session.end();
  file(world, session);
}

const backup: Step = async (world) => {
  await guest(world, noNested);
  await carryOn(world, newSession(world), 'commit');
};

const begin: Step = async (world) => {
  if (world.sessions.length > 2) return false;
  await carryOn(world, newSession(world), world.dice.pick(['claim', 'plan', 'move'] as const) ?? 'claim');
};

const idle = ({ sessions, dice }: World) => dice.pick(sessions.filter(({ busy }) => !busy));

const goOn: Step = async (world) => {
  const session = idle(world);
  if (!session) return false;
  await carryOn(world, session, world.dice.pick(['plan', 'move', 'commit', 'commit'] as const) ?? 'commit');
};

const backupDies: Step = async (world) => {
  if (world.sessions.length > 3) return false;
  await guest(world, noNested);
  const session = idle(world) ?? newSession(world);
  const plan = crashing(world, CALLS.session);
  await carryOn(world, session, 'commit', plan);
  if (plan.fired) world.count('cut backups');
};

const backupPauses: Step = async (world, nested) => {
  if (world.sessions.length > 3) return false;
  const session = idle(world) ?? newSession(world);
  const plan = pausing(world, CALLS.session, async () => {
    // Somebody took it for dead.
    if (world.dice.chance(0.3)) await session.end();
    await nested();
  });
  await carryOn(world, session, 'commit', plan);
  if (plan.fired) world.count('paused backups');
};

const endSession: Step = async (world) => {
  const session = idle(world);
  if (!session?.claim) return false;
  await session.end();
  file(world, session);
};

/** Its orchestration was started again: a higher epoch, and the lower one has lost. */
const newEpoch: Step = async (world) => {
  const session = idle(world);
  if (!session?.claim) return false;
  const claim = await world.claim(world.chain, session.request(session.epoch + 1), session.sequence);
  same('the number of a session under a new epoch', claim.sequence, session.sequence);
  session.oldClaims.push(session.claim);
  session.claim = claim;
  session.epoch++;
  if (session.next !== 'commit') return;
  const old = session.oldClaims.at(-1);
  const error = await session.commit(world.process(), old).catch((failed: unknown) => failed);
  if (!isHoldfastError(error, 'claimLost')) throw new Error(`a lower epoch committed: ${String(error)}`);
};

/** The same in the middle of a commit: it loses, unless it was at its last call, which creates the manifest. */
const overtaken: Step = async (world) => {
  const session = newSession(world);
  await carryOn(world, session, 'move');
  const { sequence, claim } = session;
  if (session.next !== 'commit' || !claim) return false;
  const plan = new PausePlan(1 + world.dice.int(16), async () => {
    session.claim = await world.claim(world.chain, session.request(session.epoch + 1), sequence);
    session.oldClaims.push(claim);
    session.epoch++;
  });
  const outcome = await session.commit(world.process(plan), claim).catch((error: unknown) => error);
  if (!plan.fired) await carryOn(world, session, 'commit');
  else if (isHoldfastError(outcome, 'claimLost')) world.count('overtaken commits');
  else if (outcome instanceof Error) throw outcome;
  else if (plan.calls > plan.before)
    throw new Error(`number ${sequence} was committed under an epoch that had ended`);
  file(world, session);
};

const commitTwiceAtOnce: Step = async (world) => {
  const session = idle(world);
  if (session?.next !== 'commit') return false;
  const process = world.process();
  await Promise.all([session.commit(process), session.commit(process)]);
  file(world, session);
};

/** Whoever ends the sessions of the dead: only those that were silent for an hour. */
const sweep: Step = async (world) => {
  for (const sequence of [...world.undecided]) {
    const claim = await readClaim(world.chain, sequence);
    const stale = world.time.at.getTime() - (claim?.renewedAt.getTime() ?? 0) >= HOUR;
    const ending = { sequence, by: 'sweep', now: world.time.at, because: 'stale' as const };
    try {
      await voidClaim(world.chain, ending);
      if (!stale) throw new Error(`number ${sequence} was ended though its session may live`);
      await world.settleNumber(sequence, { abandoned: true });
      world.count('swept numbers');
    } catch (error) {
      if (stale || !isHoldfastError(error, 'conflict')) throw error;
    }
    const session = world.sessions.find((one) => one.sequence === sequence);
    if (session && !session.busy) file(world, session);
  }
};

/** An activity of a session that ended long ago. */
const lateActivity: Step = async (world) => {
  const session = world.dice.pick(world.ended);
  if (!session?.claim) return false;
  const { sequence, claim } = session;
  const fate = world.points.has(sequence) ? 'point' : world.voids.get(sequence);
  const lost = async (call: Promise<unknown>) => {
    const error = await call.catch((failed: unknown) => failed);
    if (!isHoldfastError(error, 'claimLost')) throw new Error(`${session.id} did not lose: ${String(error)}`);
  };
  switch (world.dice.int(5)) {
    case 0:
      if (session.next !== 'commit') return false;
      if (fate === 'point') await session.commit(world.process());
      else await lost(session.commit(world.process()));
      break;
    case 1:
      // What it reads of its parent may be gone; what it writes nobody refers to.
      return session.lateMove().catch((error: unknown) => {
        if (isHoldfastError(error, 'missingObject')) return true;
        throw error;
      });
    case 2: {
      const now = world.time.at;
      await voidClaim(world.chain, { sequence, by: 'late', now, because: 'sessionEnded' });
      await world.settleNumber(sequence, {});
      break;
    }
    case 3:
      await renewClaim(world.chain, claim).catch((error: unknown) => {
        if (!isHoldfastError(error, 'claimLost')) throw error;
      });
      break;
    default: {
      // It claims again: a number that nobody will use, which the sweep ends.
      if (world.undecided.size > 4) return false;
      const again = await world.claim(world.chain, session.request(), null);
      same('the number of a late claim', world.undecided.has(again.sequence), true);
    }
  }
};

// --- removing, reading

const remove: Step = async (world) => {
  const sequences = [...world.points.keys()];
  // The newest is the parent of what is under way; others are being read.
  const read = world.readers
    .map(({ point }) => point.manifest.sequence)
    .filter((one) => world.points.has(one));
  const dice = world.dice.float();
  const sequence =
    (dice < 0.3 ? sequences.at(-1) : dice < 0.6 ? world.dice.pick(read) : undefined) ??
    world.dice.pick(sequences);
  if (sequence === undefined) return false;
  await removeNow(world, sequence);
};

export async function removeNow(world: World, sequence: number, plan?: CrashPlan): Promise<void> {
  const request = { sequence, by: 'test', now: world.time.at };
  try {
    await removePoint(world.process(plan).chain, request);
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
  const fate = await world.settleNumber(sequence, { removed: true });
  if (!plan) same(`number ${sequence}, removed`, fate, 'removed');
}

const removeDies: Step = async (world) => {
  const sequence = world.dice.pick([...world.points.keys()]);
  if (sequence === undefined) return false;
  await removeNow(world, sequence, crashing(world, 3));
};

const removeAgain: Step = async (world) => {
  const sequence = world.dice.pick([...world.voids.keys()]);
  if (sequence === undefined) return false;
  const before = (await readManifest(world.chain, sequence))?.tag;
  const { tag } = await removePoint(world.chain, { sequence, by: 'again', now: world.time.at });
  same('a void that is removed', tag, before);
};

const beginReading: Step = async (world) => {
  const sequence = world.dice.pick([...world.points.keys()]);
  const point = world.points.get(sequence ?? 0);
  if (sequence === undefined || !point || world.readers.length > 2) return false;
  const { repository, id } = world.chain;
  const lease = { kind: 'reader' as const, chain: id, sequence, by: 'test' };
  const { name } = await createLease(repository, lease);
  world.readers.push({ point, lease: name, readAt: world.time.now(), awake: world.dice.chance(0.5) });
};

const endReading: Step = async (world) => {
  const reader = world.dice.take(world.readers);
  if (!reader) return false;
  await world.read(reader.point);
  await releaseLease(world.chain.repository, reader.lease);
};

/** Who slept has no lease, and may read until a day after the manifest was read. */
export async function wakeReaders(world: World): Promise<void> {
  const now = world.time.at.getTime();
  const { repository } = world.chain;
  for (const reader of [...world.readers]) {
    if (reader.awake || now - reader.readAt.getTime() < 24 * HOUR) continue;
    world.readers.splice(world.readers.indexOf(reader), 1);
    const error = await renewLease(repository, reader.lease).catch((failed: unknown) => failed);
    if (!isHoldfastError(error, 'claimLost')) throw new Error('a lease outlived a day of silence');
    world.count('lost leases');
  }
}

// --- collection

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
const collectFresh: Step = async (world) => void (await collectNow(world));
const compactFresh: Step = async (world) => void (await compactNow(world));

const maintenanceDies: Step = async (world) => {
  const plan = crashing(world, CALLS.collection);
  await maintain(world, world.dice.chance(0.6) ? 'collect' : 'compact', plan);
  if (plan.fired) world.count('cut maintenance');
};

const maintenancePauses: Step = async (world, nested) => {
  const plan = pausing(world, CALLS.collection, nested);
  await maintain(world, world.dice.chance(0.6) ? 'collect' : 'compact', plan);
  if (plan.fired) world.count('paused maintenance');
};

const planForLater: Step = async (world) => {
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

const collectLate: Step = async (world) => {
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

const compactLate: Step = async (world) => {
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

// --- damage

const damage: Step = async (world) => {
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

export const verifyNow = async (world: World): Promise<void> => {
  const depth = world.dice.chance(0.5) ? 'content' : 'rolling';
  const result = await verifyRepository(world.chain.repository, { depth, clock: world.clock });
  same('a verification without a budget', result.complete, true);
  await checkMarks(world, result);
};
const verify: Step = (world) => verifyNow(world);

const verifyDies: Step = async (world) => {
  const plan = crashing(world, CALLS.mark);
  const depth = world.dice.chance(0.5) ? 'content' : 'rolling';
  const { repository } = world.process(plan).chain;
  await verifyRepository(repository, { depth, clock: world.clock }).catch((error: unknown) => {
    if (!(error instanceof Crash)) throw error;
  });
  await verifyNow(world);
};

const verifyPart: Step = async (world) => {
  const budget = { bytes: 1 + world.dice.int(40_000) };
  await verifyRepository(world.chain.repository, { depth: 'rolling', clock: world.clock, budget });
};

/** Verification, a backup that reads again what is lost, and the older points get it back. */
const repair: Step = async (world) => {
  await verifyNow(world);
  await carryOn(world, newSession(world), 'commit');
  const now = world.time.at;
  if (world.dice.chance(0.3)) {
    const plan = crashing(world, CALLS.mark);
    await healChain(world.process(plan).chain, { now }).catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error;
    });
  }
  const healed = await healChain(world.chain, { now });
  await checkMarks(world, healed);
  world.count('generations of repair', healed.written.length);
  world.count('points healed', healed.healed.length);
};

// --- owners

const takeOver: Step = async (world) => {
  const old = world.owner;
  const term = world.terms.get(old) ?? 0;
  const next = old === 'one' ? 'other' : 'one';
  const { repository } = world.chain;
  const refused = await takeOwnership(repository, { installation: next, now: world.time.at }).catch(
    (failed: unknown) => failed,
  );
  if (!isHoldfastError(refused, 'notOwner')) throw new Error('a repository was taken without a word');
  await world.takeOver(next);
  const fencedOff = await assertOwner(repository, { installation: old, counter: term }).catch(
    (failed: unknown) => failed,
  );
  if (!isHoldfastError(fencedOff, 'notOwner')) throw new Error('the old owner is not fenced');
};

const catalogAnew: Step = (world) => checkRescan(world);

export const noNested: Nested = () => Promise.resolve();

export interface Weighted {
  readonly weight: number;
  readonly run: Step;
  /** Also in the middle of another step. */
  readonly nested?: boolean;
}

export const STEPS: Readonly<Record<string, Weighted>> = {
  guest: { weight: 4, run: guest, nested: true },
  grow: { weight: 0.4, run: grow, nested: true },
  minutes: { weight: 3, run: minutes, nested: true },
  hours: { weight: 4, run: hours, nested: true },
  days: { weight: 2, run: days, nested: true },
  backup: { weight: 8, run: backup, nested: true },
  begin: { weight: 3, run: begin, nested: true },
  goOn: { weight: 4, run: goOn, nested: true },
  backupDies: { weight: 4, run: backupDies },
  backupPauses: { weight: 3, run: backupPauses },
  endSession: { weight: 1.5, run: endSession, nested: true },
  newEpoch: { weight: 1.5, run: newEpoch },
  overtaken: { weight: 2, run: overtaken },
  commitTwiceAtOnce: { weight: 3, run: commitTwiceAtOnce },
  sweep: { weight: 2, run: sweep, nested: true },
  lateActivity: { weight: 4, run: lateActivity, nested: true },
  remove: { weight: 6, run: remove, nested: true },
  removeDies: { weight: 1, run: removeDies },
  removeAgain: { weight: 1, run: removeAgain, nested: true },
  beginReading: { weight: 2, run: beginReading, nested: true },
  endReading: { weight: 1.5, run: endReading, nested: true },
  collect: { weight: 5, run: collectFresh, nested: true },
  compact: { weight: 4, run: compactFresh, nested: true },
  maintenanceDies: { weight: 3, run: maintenanceDies },
  maintenancePauses: { weight: 4, run: maintenancePauses },
  planForLater: { weight: 2.5, run: planForLater },
  collectLate: { weight: 2, run: collectLate, nested: true },
  compactLate: { weight: 2, run: compactLate, nested: true },
  damage: { weight: 3, run: damage },
  verify: { weight: 2, run: verify },
  verifyDies: { weight: 1, run: verifyDies },
  verifyPart: { weight: 1, run: verifyPart },
  repair: { weight: 1.5, run: repair },
  takeOver: { weight: 0.7, run: takeOver, nested: true },
  catalogAnew: { weight: 1, run: catalogAnew },
};
