import type { Installation } from '../../installation/index.ts';
import { type Failure, toFailure } from '../../model/index.ts';
import { enterStep, note, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import type { SnapshotSet } from '../snapshots/sets.ts';
import { type Removed, type RetentionState, readState, updateState } from '../state.ts';
import { carryOutPoints, planPoints } from './points.ts';
import { carryOutSnapshots, planSets, settledSets } from './snapshots.ts';
import { type Speaker, whoSpeaks } from './speaker.ts';

/** Writes (removals, states) of one look; the next look goes on. */
const STEP = 60;
/** Machines, and time, of one look. */
const MACHINES = 200;
const SLICE_MS = 20_000;
/** Removals that the session lists; further ones are counted, and their rows say why. */
const LISTED = 500;
/** More warnings than this say no more. */
const WARNED = 30;

export interface RetentionDone {
  readonly points: number;
  readonly snapshots: number;
}

interface Turn {
  readonly speaker: Speaker;
  readonly sets: ReadonlyMap<string, readonly SnapshotSet[]>;
  readonly bases: ReadonlySet<string>;
}

/**
 * Removes what no rule keeps: of each machine first restore points, whose data goes with the next collection, then snapshots.
 * Never the base of a next incremental. One machine's trouble keeps no other from its turn.
 */
export async function applyRetention(
  installation: Installation,
  sessionId: string,
): Promise<Looked<RetentionDone>> {
  await enterStep(installation, sessionId, 'retention');
  const before = await readState(installation, sessionId, 'retention');
  const turn = await lookAround(installation, before.request);
  const pending = [
    ...(before.pending ?? before.request.machines ?? (await everyMachine(installation, turn))),
  ];
  const begun = installation.clock.now().getTime();
  let room = STEP;
  for (let looked = 0; pending.length > 0 && looked < MACHINES && room > 0; looked++) {
    if (installation.clock.now().getTime() - begun > SLICE_MS) break;
    const [machineId = ''] = pending;
    const { writes, done } = await retainMachine(installation, sessionId, machineId, turn, room);
    room -= writes;
    if (done) pending.shift();
    // What was not done although there was room is to be planned anew.
    if (!done) break;
  }
  // Once for all of the look: a look that is cut off before is taken again, and finds less to do.
  const { points, snapshots, immutable } = await updateState(
    installation,
    sessionId,
    'retention',
    (state) => ({ ...state, pending: [...pending] }),
  );
  if (pending.length === 0) {
    if (immutable.points > 0)
      await note(
        installation,
        sessionId,
        `${immutable.points} restore points that no rule keeps are immutable, the last until ${immutable.until}; they go after their dates.`,
      );
    return seen({ points, snapshots });
  }
  return notYet(
    `${pending.length} machines; ${points} restore points and ${snapshots} snapshots removed so far`,
  );
}

async function lookAround(
  installation: Installation,
  { machines, subscriptionId }: RetentionState['request'],
): Promise<Turn> {
  const [only] = machines ?? [];
  const scope = {
    ...(subscriptionId === null ? {} : { subscriptionIds: [subscriptionId] }),
    ...(machines?.length === 1 && only !== undefined ? { machineId: only } : {}),
  };
  return {
    speaker: await whoSpeaks(installation, subscriptionId),
    sets: await settledSets(installation, scope),
    bases: await installation.catalog.chains.protectedSnapshots(),
  };
}

async function everyMachine({ catalog }: Installation, { sets }: Turn): Promise<string[]> {
  return [...new Set([...(await catalog.points.machines()), ...sets.keys()])].sort();
}

async function retainMachine(
  installation: Installation,
  sessionId: string,
  machineId: string,
  { speaker, sets, bases }: Turn,
  room: number,
): Promise<{ writes: number; done: boolean }> {
  const policy = speaker(machineId);
  let writes = 0;
  let done = true;
  let name = machineId;
  const unreachable = ({ message }: Failure) =>
    warn(installation, sessionId, `Restore points of a repository were not looked at: ${message}`);
  try {
    for (const plan of await planPoints(installation, machineId, policy, unreachable)) {
      name = plan.decisions[0]?.item.row.point.machineName ?? name;
      const answer = await carryOutPoints(installation, sessionId, plan, room - writes);
      writes += answer.removed.length + answer.changed;
      done &&= answer.done;
      await keep(installation, sessionId, answer.removed, answer.changed);
      if (answer.done) await keepImmutable(installation, sessionId, answer.immutable);
      for (const text of answer.stays.slice(0, WARNED)) await warn(installation, sessionId, text);
    }
    const own = sets.get(machineId) ?? [];
    name = own[0]?.metadata?.configuration.machine.name ?? name;
    const plan = planSets(own, policy, bases, installation.clock.now());
    const answer = await carryOutSnapshots(
      installation,
      sessionId,
      { id: machineId, name },
      plan,
      room - writes,
    );
    writes += answer.removed.length;
    done &&= answer.done;
    await keep(installation, sessionId, answer.removed, 0);
    for (const text of answer.stays.slice(0, WARNED)) await warn(installation, sessionId, text);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.retryable || failure.code === 'notOwner') throw error;
    await warn(installation, sessionId, `Machine ${name}: ${failure.message}`);
  }
  return { writes, done };
}

/** Counts what waits for its date, with the latest. */
async function keepImmutable(
  installation: Installation,
  sessionId: string,
  dates: readonly string[],
): Promise<void> {
  if (dates.length === 0) return;
  await updateState(installation, sessionId, 'retention', (state) => ({
    ...state,
    immutable: {
      points: state.immutable.points + dates.length,
      until: [state.immutable.until, ...dates].reduce((a, b) => (a > b ? a : b)),
    },
  }));
}

/** Keeps what was removed, and why. */
async function keep(
  installation: Installation,
  sessionId: string,
  removed: readonly Removed[],
  changed: number,
): Promise<void> {
  if (removed.length === 0 && changed === 0) return;
  const count = (what: Removed['what']) => removed.filter((one) => one.what === what).length;
  await updateState(installation, sessionId, 'retention', (state) => ({
    ...state,
    points: state.points + count('restorePoint'),
    snapshots: state.snapshots + count('snapshot'),
    changed: state.changed + changed,
    removed: [...state.removed, ...removed].slice(0, LISTED),
  }));
}
