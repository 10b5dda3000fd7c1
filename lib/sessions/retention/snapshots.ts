import { planSnapshots, type RetainedSnapshot, type SnapshotDecision } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import { flagLetters, type Policy, toFailure } from '../../model/index.ts';
import { copiedSessions } from '../backup/copy.ts';
import { tryDeleteSnapshot } from '../snapshots/delete.ts';
import { retained } from '../snapshots/judge.ts';
import { listSets, type SetScope, type SnapshotSet } from '../snapshots/sets.ts';
import type { Removed } from '../state.ts';

/** The snapshots of machines that retention may look at: not those of sessions that are not done with them. */
export async function settledSets(
  installation: Installation,
  scope: SetScope = {},
): Promise<Map<string, SnapshotSet[]>> {
  const { catalog } = installation;
  const running = (await catalog.sessions.running()).map(({ id }) => id);
  const busy = new Set([
    ...running,
    ...(await catalog.intents.sessions()),
    ...(await copiedSessions(installation)),
  ]);
  const sets = (await listSets(installation, scope)).filter(({ sessionId }) => !busy.has(sessionId));
  return Map.groupBy(sets, ({ machineId }) => machineId);
}

/**
 * Plans the retention of a machine's snapshots: by its policy's rules, else by what each set says of itself. Sets that cannot be
 * read, and those taken by hand, are nobody's here.
 */
export function planSets(
  sets: readonly SnapshotSet[],
  policy: Policy | null,
  bases: ReadonlySet<string>,
  now: Date,
): SnapshotDecision<RetainedSnapshot>[] {
  const rules = policy?.snapshots.retention ?? null;
  const known = sets.filter(({ origin, metadata }) => origin !== 'manual' && metadata !== null);
  return planSnapshots(known.flatMap(retained), rules, bases, now);
}

export interface SnapshotsDone {
  readonly removed: readonly Removed[];
  readonly stays: readonly string[];
  readonly done: boolean;
}

/** Deletes what a plan lets go, oldest first, at most `room` snapshots. May be repeated. */
export async function carryOutSnapshots(
  installation: Installation,
  sessionId: string,
  { id: machineId, name: machineName }: { readonly id: string; readonly name: string },
  decisions: readonly SnapshotDecision<RetainedSnapshot>[],
  room: number,
): Promise<SnapshotsDone> {
  const going = decisions.filter(({ keep }) => !keep).reverse();
  const removed: Removed[] = [];
  const stays: string[] = [];
  for (const { item, why } of going.slice(0, room)) {
    let obstacle: string | null;
    try {
      const deletion = await tryDeleteSnapshot(installation, sessionId, item.id);
      obstacle = deletion.gone ? null : deletion.why;
    } catch (error) {
      obstacle = toFailure(error).message;
    }
    if (obstacle === null) {
      const { id: name, takenAt } = item;
      const flags = flagLetters(item.flags);
      removed.push({ what: 'snapshot', name, machineId, machineName, takenAt, flags, why });
    } else
      stays.push(
        `Snapshot ${item.id.split('/').at(-1)} of machine ${machineName} was to go (${why}): ${obstacle}.`,
      );
  }
  return { removed, stays, done: going.length <= room || (room > 0 && removed.length === 0) };
}
