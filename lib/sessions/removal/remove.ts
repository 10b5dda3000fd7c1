import type { Installation } from '../../installation/index.ts';
import { isHoldfastError } from '../../model/index.ts';
import { openChain, takeOwnership } from '../../repository/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { tryDeleteSnapshot } from '../snapshots/delete.ts';
import { readState, updateState } from '../state.ts';
import { type PlannedPoint, type PlannedSnapshot, planRemoval } from './plan.ts';
import { type PointRemoved, removeRestorePoint } from './point.ts';

/** Restore points and snapshots that one look removes. */
const STEP = 10;

/**
 * Removes some of what was asked for: first restore points, whose data goes with the next collection, then snapshots. What has
 * to stay is named in a warning, once.
 */
export async function removeSome(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'remove');
  const { request, left } = await readState(installation, sessionId, 'removal');
  const known = await knownNames(installation, request);
  const plan = await planRemoval(installation, { ...request, points: known });
  const settled = new Set(left);
  for (const { name, why } of plan.points.filter(({ verdict }) => verdict !== 'goes'))
    await leave(installation, sessionId, settled, name, `Restore point ${name} stays: ${why}.`);
  for (const { id, why } of plan.snapshots.filter(({ verdict }) => verdict !== 'goes'))
    await leave(installation, sessionId, settled, id, `Snapshot ${id} stays: ${why}.`);
  const points = plan.points.filter(({ name, verdict }) => verdict === 'goes' && !settled.has(name));
  const snapshots = plan.snapshots.filter(({ id, verdict }) => verdict === 'goes' && !settled.has(id));
  const now = points.slice(0, STEP);
  for (const point of now) await removeOne(installation, sessionId, request.machineId, settled, point);
  const then = snapshots.slice(0, STEP - now.length);
  for (const snapshot of then) await deleteOne(installation, sessionId, settled, snapshot);
  const open = points.length + snapshots.length - now.length - then.length;
  return open > 0 ? notYet(`${open} restore points and snapshots`) : seen(null);
}

/** Of points that are named, those that are still there: the others went with an earlier look. */
async function knownNames(
  { catalog }: Installation,
  { machineId, points }: { machineId: string; points: 'none' | 'all' | string[] },
): Promise<'none' | 'all' | string[]> {
  if (typeof points === 'string') return points;
  const rows = await catalog.points.listMachine(machineId);
  const there = new Set(rows.map(({ point }) => `${point.chainId}/${point.sequence}`));
  return points.filter((name) => there.has(name));
}

async function removeOne(
  installation: Installation,
  sessionId: string,
  machineId: string,
  settled: Set<string>,
  { name, chainId, sequence, repositoryId }: PlannedPoint,
): Promise<void> {
  const { catalog, clock } = installation;
  const repository = await installation.repositoryById(repositoryId);
  // Another installation may have taken the repository over: then nothing here is ours to remove.
  const { id } = await installation.identity();
  await takeOwnership(repository, { installation: id, now: clock.now() });
  const why = `removed on request by session ${sessionId}`;
  let outcome: PointRemoved;
  try {
    const chain = await openChain(repository, chainId);
    const removal = { sequence, machineId, sessionId, reason: 'request' as const, why };
    outcome = await removeRestorePoint(installation, repository, chain, removal);
  } catch (error) {
    // Somebody removed it outside of Holdfast: what is left of it is the catalog's row.
    if (!isHoldfastError(error, 'missingObject')) throw error;
    await catalog.points.markRemoved(chainId, sequence, clock.now(), why);
    return;
  }
  if (outcome.removed) return;
  const until = outcome.immutableUntil.toISOString();
  await leave(
    installation,
    sessionId,
    settled,
    name,
    `Restore point ${name} stays: immutable until ${until}.`,
  );
}

async function deleteOne(
  installation: Installation,
  sessionId: string,
  settled: Set<string>,
  { id }: PlannedSnapshot,
): Promise<void> {
  const outcome = await tryDeleteSnapshot(installation, sessionId, id);
  if (!outcome.gone)
    await leave(installation, sessionId, settled, id, `Snapshot ${id} stays for now: ${outcome.why}.`);
}

/** Says once that something stays; it is not tried again in this session. */
async function leave(
  installation: Installation,
  sessionId: string,
  settled: Set<string>,
  name: string,
  warning: string,
): Promise<void> {
  if (settled.has(name)) return;
  settled.add(name);
  await warn(installation, sessionId, warning);
  await updateState(installation, sessionId, 'removal', (state) => ({ ...state, left: [...settled] }));
}
