import type { PointRow } from '../../catalog/index.ts';
import { type PointDecision, planRetention, type RetentionPoint } from '../../chain/index.ts';
import type { Installation, InstalledRepository } from '../../installation/index.ts';
import {
  type Failure,
  flagLetters,
  isHoldfastError,
  type Policy,
  restorePointName,
  toFailure,
} from '../../model/index.ts';
import {
  type Chain,
  openChain,
  readPoint,
  readPointState,
  retentionOf,
  takeOwnership,
  writePointState,
} from '../../repository/index.ts';
import { removeRestorePoint } from '../removal/point.ts';
import type { Removed } from '../state.ts';
import { writesTo } from './speaker.ts';

/** A point as retention looks at it. Its number here counts over all chains of the machine in a repository, by age. */
export interface PlannedPoint extends RetentionPoint {
  readonly row: PointRow;
}

/** What becomes of a machine's points in one repository, newest first. */
export interface PointPlan {
  readonly repository: InstalledRepository;
  readonly decisions: readonly PointDecision<PlannedPoint>[];
}

/**
 * Plans the retention of all restore points of a machine. Nothing is changed. A repository that cannot be opened is told to
 * `unreachable`, and keeps the others from nothing; without that its failure is thrown.
 */
export async function planPoints(
  installation: Installation,
  machineId: string,
  policy: Policy | null,
  unreachable?: (failure: Failure) => Promise<void>,
): Promise<PointPlan[]> {
  const rows = await installation.catalog.points.listMachine(machineId);
  const byRepository = Map.groupBy(rows, ({ repositoryId }) => repositoryId);
  const plans: PointPlan[] = [];
  for (const [repositoryId, own] of byRepository) {
    const repository = await open(installation, repositoryId, unreachable);
    if (!repository) continue;
    const rules = policy !== null && writesTo(policy, repository.place.id) ? policy.retention : null;
    const points = own.map((row, index): PlannedPoint => {
      const { point, retention } = row;
      const damaged = row.damaged || row.missing;
      return { row, sequence: index + 1, takenAt: point.takenAt, retention, damaged };
    });
    plans.push({ repository, decisions: planRetention(points, rules, installation.clock.now()) });
  }
  return plans;
}

async function open(
  installation: Installation,
  repositoryId: string | null,
  unreachable?: (failure: Failure) => Promise<void>,
): Promise<InstalledRepository | null> {
  try {
    return await installation.repositoryById(repositoryId);
  } catch (error) {
    if (!unreachable) throw error;
    await unreachable(toFailure(error));
    return null;
  }
}

export interface PointsDone {
  readonly removed: readonly Removed[];
  /** Points whose flags or rules were written anew. */
  readonly changed: number;
  /** For people: what was to go, and stays for now. */
  readonly stays: readonly string[];
  /** Dates of the points that no rule keeps and that are immutable: no fault, they go when their time is over. */
  readonly immutable: readonly string[];
  /** True when nothing is left to do now. */
  readonly done: boolean;
}

/**
 * Carries a plan out, oldest point first, at most `room` writes. A point whose state says more than the catalog knew is left for
 * the next look, which plans it anew. May be repeated, and cut off anywhere.
 */
export async function carryOutPoints(
  installation: Installation,
  sessionId: string,
  { repository, decisions }: PointPlan,
  room: number,
): Promise<PointsDone> {
  const { clock } = installation;
  const waits = ({ keep, item: { row } }: PointDecision<PlannedPoint>) =>
    !keep && !row.missing && row.immutableUntil !== null && new Date(row.immutableUntil) > clock.now();
  const immutable = decisions.filter(waits).map(({ item }) => item.row.immutableUntil ?? '');
  // What waits for its date takes no turn from what can go.
  const open = decisions
    .filter((decision) => !waits(decision))
    .filter(({ keep, changed, item }) => !keep || (changed && !item.row.missing))
    .reverse();
  const removed: Removed[] = [];
  const stays: string[] = [];
  let changed = 0;
  if (open.length === 0) return { removed, changed, stays, immutable, done: true };
  // Another installation may have taken the repository over since it was opened: then its retention runs, not ours.
  await takeOwnership(repository, { installation: (await installation.identity()).id, now: clock.now() });
  const chains = new Map<string, Chain>();
  let done = true;
  for (const decision of open.slice(0, room)) {
    const { point } = decision.item.row;
    try {
      const chain = chains.get(point.chainId) ?? (await openChain(repository, point.chainId));
      chains.set(chain.id, chain);
      if (decision.keep) {
        await rewrite(installation, chain, decision);
        changed++;
      } else {
        const answer = await remove(installation, sessionId, repository, chain, decision);
        if (answer === 'gone') removed.push(removedPoint(decision));
        else if (answer === 'changed') done = false;
        else immutable.push(answer.immutableUntil);
      }
    } catch (error) {
      const failure = toFailure(error);
      if (failure.retryable || failure.code === 'notOwner') throw error;
      stays.push(`Restore point ${restorePointName(point)}: ${failure.message}`);
    }
  }
  // Where nothing went, trying the same again now would end never.
  const stuck = done && room > 0 && removed.length + changed === 0;
  return { removed, changed, stays, immutable, done: stuck || (done && open.length <= room) };
}

/** Writes the flags that stay, and the rules in force, into the point's state. */
async function rewrite(
  { catalog, clock }: Installation,
  chain: Chain,
  { item: { row }, dropped, rules }: PointDecision<PlannedPoint>,
): Promise<void> {
  const { sequence } = row.point;
  const { manifest } = await readPoint(chain, sequence);
  const state = await writePointState(
    chain,
    sequence,
    (facts) => {
      const { hold: _, ...carried } = retentionOf(manifest, facts);
      const flags = carried.flags.filter((flag) => !dropped.includes(flag));
      return { ...facts, retention: { ...carried, flags, rules } };
    },
    { now: clock.now(), above: row.stateCounter },
  );
  await catalog.points.noteState(chain.id, sequence, {
    retention: retentionOf(manifest, state),
    stateCounter: state?.counter ?? row.stateCounter,
  });
}

/** `changed`: its state says what the plan did not know. */
async function remove(
  installation: Installation,
  sessionId: string,
  repository: InstalledRepository,
  chain: Chain,
  { item: { row }, why }: PointDecision<PlannedPoint>,
): Promise<'gone' | 'changed' | { readonly immutableUntil: string }> {
  const { catalog, clock } = installation;
  const { sequence, machineId } = row.point;
  if (row.missing) {
    await catalog.points.markRemoved(chain.id, sequence, clock.now(), `missing; ${why}`);
    return 'gone';
  }
  const state = await readPointState(chain, sequence, { atLeast: row.stateCounter });
  if (state !== null && state.counter > row.stateCounter) {
    try {
      const { manifest } = await readPoint(chain, sequence);
      const stateCounter = state.counter;
      await catalog.points.noteState(chain.id, sequence, {
        retention: retentionOf(manifest, state),
        stateCounter,
      });
      return 'changed';
    } catch (error) {
      // It was removed meanwhile; below the catalog learns of it.
      if (!isHoldfastError(error, 'missingObject')) throw error;
    }
  }
  const answer = await removeRestorePoint(installation, repository, chain, {
    sequence,
    machineId,
    sessionId,
    reason: 'retention',
    why,
  });
  return answer.removed ? 'gone' : { immutableUntil: answer.immutableUntil.toISOString() };
}

function removedPoint({ item: { row, retention }, why }: PointDecision<PlannedPoint>): Removed {
  const { point } = row;
  return {
    what: 'restorePoint',
    name: restorePointName(point),
    machineId: point.machineId,
    machineName: point.machineName,
    takenAt: point.takenAt,
    flags: flagLetters(retention.flags),
    why,
  };
}
