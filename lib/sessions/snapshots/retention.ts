import type { Installation } from '../../installation/index.ts';
import { toFailure } from '../../model/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { readState, updateState } from '../state.ts';
import { judgeSets, type SetVerdict } from './judge.ts';
import { removeSet } from './removal.ts';
import { surveySnapshots } from './world.ts';

/** Sets that one look removes; the next look goes on. */
const STEP = 5;
/** More warnings than this say no more. */
const LISTED = 30;

/**
 * Removes the snapshots that no policy's retention looks at any more, a few at a time, and tells of those that cannot be
 * understood. What cannot go now is named with the reason, is tried again the next day, and fails nothing.
 */
export async function retainSnapshots(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'retention');
  const { request, tried } = await readState(installation, sessionId, 'snapshotRetention');
  const { sets, world, names, troubles } = await surveySnapshots(installation, request.orphanDays);
  for (const trouble of troubles) await warn(installation, sessionId, trouble);
  const verdicts = judgeSets(sets, world);
  if (tried.length === 0) await tellObstacles(installation, sessionId, verdicts);
  const going = verdicts.filter(({ goes, set }) => goes !== null && !tried.includes(set.name));
  const now = going.slice(0, STEP);
  let removed = 0;
  const locked: string[] = [];
  for (const { set, goes, why } of now) {
    if (goes === null) continue;
    const what = `Snapshot set ${set.name} of machine ${names.get(set.machineId) ?? set.metadata?.configuration.machine.name ?? set.machineId}`;
    try {
      const { gone, left } = await removeSet(installation, sessionId, set, goes);
      removed += gone;
      if (left.length > 0)
        locked.push(`${what} was to go (${goes}: ${why}) and stays for now: ${left.join('; ')}.`);
    } catch (error) {
      locked.push(`${what} was to go (${goes}: ${why}) and stays for now: ${toFailure(error).message}`);
    }
  }
  for (const text of locked.slice(0, LISTED)) await warn(installation, sessionId, text);
  const state = await updateState(installation, sessionId, 'snapshotRetention', (current) => ({
    ...current,
    tried: [...current.tried, ...now.map(({ set }) => set.name)],
    removed: current.removed + removed,
  }));
  return going.length > now.length ? notYet(`${state.removed} snapshots removed so far`) : seen(null);
}

/** Sets that stay because nobody here can read what they say: people should know. */
async function tellObstacles(
  installation: Installation,
  sessionId: string,
  verdicts: readonly SetVerdict[],
): Promise<void> {
  const foreign = verdicts.filter(({ set }) => set.obstacle === 'otherKey');
  for (const { set, why } of foreign.slice(0, LISTED))
    await warn(installation, sessionId, `Snapshot set ${set.name} stays: ${why}.`);
}
