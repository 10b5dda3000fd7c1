import type { Installation } from '../../installation/index.ts';
import { HoldfastError, isHoldfastError, restorePointName } from '../../model/index.ts';
import { openChain } from '../../repository/index.ts';
import { listSets } from '../snapshots/sets.ts';

/** What a person wants gone. Only what was taken before `before`: what comes meanwhile is not meant. */
export interface RemovalAsked {
  readonly machineId: string;
  /** Names of restore points, or all of the machine, or none. */
  readonly points: 'none' | 'all' | readonly string[];
  readonly snapshots: 'none' | 'all' | 'policy' | 'manual';
  readonly before: string;
}

/** `goes`; or stays, because a person holds it, because it is immutable, or because a session is at it. */
export type RemovalVerdict = 'goes' | 'held' | 'locked' | 'busy';

export interface PlannedPoint {
  readonly name: string;
  readonly chainId: string;
  readonly sequence: number;
  readonly repositoryId: string | null;
  readonly machineName: string;
  readonly takenAt: string;
  readonly storedBytes: number;
  readonly verdict: RemovalVerdict;
  /** Until when it stays at least; null: not known, or nothing keeps it. */
  readonly until: string | null;
  /** Why it stays, for a person. */
  readonly why: string | null;
}

export interface PlannedSnapshot {
  readonly id: string;
  /** The set that it is of. */
  readonly set: string;
  readonly origin: 'policy' | 'temporary' | 'manual';
  readonly takenAt: string | null;
  readonly verdict: RemovalVerdict;
  readonly why: string | null;
}

export interface RemovalPlan {
  readonly machineId: string;
  readonly points: readonly PlannedPoint[];
  readonly snapshots: readonly PlannedSnapshot[];
  /** What a person should know before it is done. */
  readonly consequences: readonly string[];
}

const SIDE_BY_SIDE = 16;

/**
 * What a removal would do, and what it would leave and why. Nothing is changed.
 *
 * @throws `notFound` when a restore point that is named is not the machine's, or is gone
 */
export async function planRemoval(installation: Installation, asked: RemovalAsked): Promise<RemovalPlan> {
  const points = await planPoints(installation, asked);
  const { snapshots, bases } = await planSnapshots(installation, asked);
  const left = (await installation.catalog.points.listMachine(asked.machineId)).length;
  const goes = points.filter(({ verdict }) => verdict === 'goes').length;
  const consequences = [
    ...(goes > 0 && goes === left ? ['No restore point of the machine is left.'] : []),
    ...(bases > 0
      ? ['Snapshots that the next backup would be read against go: it reads these disks whole.']
      : []),
  ];
  return { machineId: asked.machineId, points, snapshots, consequences };
}

async function planPoints(
  installation: Installation,
  { machineId, points: wanted, before }: RemovalAsked,
): Promise<PlannedPoint[]> {
  if (wanted === 'none') return [];
  const rows = await installation.catalog.points.listMachine(machineId);
  const named = new Map(rows.map((row) => [restorePointName(row.point), row]));
  const gone = wanted === 'all' ? undefined : wanted.find((name) => !named.has(name));
  if (gone !== undefined) {
    throw new HoldfastError('notFound', `There is no restore point ${gone} of machine ${machineId}.`, {
      target: gone,
    });
  }
  const chosen = wanted === 'all' ? rows.filter(({ point }) => point.takenAt < before) : pick(named, wanted);
  const planned: PlannedPoint[] = [];
  for (let at = 0; at < chosen.length; at += SIDE_BY_SIDE) {
    const some = chosen.slice(at, at + SIDE_BY_SIDE);
    planned.push(...(await Promise.all(some.map((row) => judge(installation, row)))));
  }
  return planned;
}

const pick = <T>(named: ReadonlyMap<string, T>, names: readonly string[]): T[] =>
  [...new Set(names)].flatMap((name) => named.get(name) ?? []);

type Row = Awaited<ReturnType<Installation['catalog']['points']['list']>>[number];

async function judge(installation: Installation, row: Row): Promise<PlannedPoint> {
  const { point, repositoryId, retention } = row;
  const shown = {
    name: restorePointName(point),
    chainId: point.chainId,
    sequence: point.sequence,
    repositoryId,
    machineName: point.machineName,
    takenAt: point.takenAt,
    storedBytes: point.disks.reduce((sum, disk) => sum + disk.storedBytes, 0),
  };
  const { hold } = retention;
  const now = installation.clock.now();
  if (hold && (hold.until === null || Date.parse(hold.until) > now.getTime())) {
    const why = `${hold.by} holds it: ${hold.reason}; take the hold off first`;
    return { ...shown, verdict: 'held', until: hold.until, why };
  }
  const until = await lockedUntil(installation, row);
  if (until === null) return { ...shown, verdict: 'goes', until: null, why: null };
  return { ...shown, verdict: 'locked', until, why: `it is immutable until ${until}` };
}

/** By the lock itself; where its chain cannot be opened, by what was last seen of it. */
async function lockedUntil(installation: Installation, row: Row): Promise<string | null> {
  try {
    const repository = await installation.repositoryById(row.repositoryId);
    if (!repository.locks) return null;
    const chain = await openChain(repository, row.point.chainId);
    return (await repository.locks.heldUntil(chain, row.point.sequence))?.toISOString() ?? null;
  } catch (error) {
    if (!isHoldfastError(error, 'missingObject') && !isHoldfastError(error, 'corruptObject')) throw error;
    const { immutableUntil } = row;
    return immutableUntil !== null && Date.parse(immutableUntil) > installation.clock.now().getTime()
      ? immutableUntil
      : null;
  }
}

async function planSnapshots(
  installation: Installation,
  { machineId, snapshots: which, before }: RemovalAsked,
): Promise<{ snapshots: PlannedSnapshot[]; bases: number }> {
  if (which === 'none') return { snapshots: [], bases: 0 };
  const { catalog } = installation;
  const sets = await listSets(installation, { machineId });
  const running = new Set((await catalog.sessions.running()).map(({ id }) => id));
  const protectedIds = await catalog.chains.protectedSnapshots();
  const lower = new Set([...protectedIds].map((id) => id.toLowerCase()));
  const snapshots: PlannedSnapshot[] = [];
  let bases = 0;
  for (const { name: set, sessionId, origin, members, takenAt: setTakenAt } of sets) {
    // A temporary snapshot is a policy's too: a backup was read from it.
    if (which !== 'all' && (which === 'manual') !== (origin === 'manual')) continue;
    if (setTakenAt !== null && setTakenAt >= before) continue;
    for (const { id, takenAt } of members) {
      const busy = running.has(sessionId);
      if (!busy && lower.has(id.toLowerCase())) bases++;
      const verdict = busy ? 'busy' : 'goes';
      const why = busy ? `session ${sessionId} is not done with it` : null;
      snapshots.push({ id, set, origin, takenAt, verdict, why });
    }
  }
  return { snapshots, bases };
}
