/** Sessions that back up: begun, gone on with, cut off, paused, overtaken, ended, late. */
import { isHoldfastError } from '../../lib/model/index.ts';
import { readClaim, renewClaim, voidClaim } from '../../lib/repository/index.ts';
import { type CrashPlan } from '../datapath/faultyStore.ts';
import { type ModelDisk } from '../datapath/modelDisk.ts';
import { same } from './modelChecks.ts';
import { guest } from './modelGuest.ts';
import { ModelSession, type Phase } from './modelSession.ts';
import { CALLS, crashing, noNested, pausing, type Step } from './modelStep.ts';
import { HOUR, PausePlan, type World } from './modelWorld.ts';

export function newSession(world: World): ModelSession {
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

export async function carryOn(world: World, session: ModelSession, until: Phase, plan?: CrashPlan) {
  const outcome = await session.go(until, plan);
  world.count(`a session: ${outcome}`);
  if (outcome === 'gone') await session.end();
  file(world, session);
}

export const backup: Step = async (world) => {
  await guest(world, noNested);
  await carryOn(world, newSession(world), 'commit');
};

export const begin: Step = async (world) => {
  if (world.sessions.length > 2) return false;
  await carryOn(world, newSession(world), world.dice.pick(['claim', 'plan', 'move'] as const) ?? 'claim');
};

const idle = ({ sessions, dice }: World) => dice.pick(sessions.filter(({ busy }) => !busy));

export const goOn: Step = async (world) => {
  const session = idle(world);
  if (!session) return false;
  await carryOn(world, session, world.dice.pick(['plan', 'move', 'commit', 'commit'] as const) ?? 'commit');
};

export const backupDies: Step = async (world) => {
  if (world.sessions.length > 3) return false;
  await guest(world, noNested);
  const session = idle(world) ?? newSession(world);
  const plan = crashing(world, CALLS.session);
  await carryOn(world, session, 'commit', plan);
  if (plan.fired) world.count('cut backups');
};

export const backupPauses: Step = async (world, nested) => {
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

export const endSession: Step = async (world) => {
  const session = idle(world);
  if (!session?.claim) return false;
  await session.end();
  file(world, session);
};

/** Its orchestration was started again: a higher epoch, and the lower one has lost. */
export const newEpoch: Step = async (world) => {
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
export const overtaken: Step = async (world) => {
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

export const commitTwiceAtOnce: Step = async (world) => {
  const session = idle(world);
  if (session?.next !== 'commit') return false;
  const process = world.process();
  await Promise.all([session.commit(process), session.commit(process)]);
  file(world, session);
};

/** Whoever ends the sessions of the dead: only those that were silent for an hour. */
export const sweep: Step = async (world) => {
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
export const lateActivity: Step = async (world) => {
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
