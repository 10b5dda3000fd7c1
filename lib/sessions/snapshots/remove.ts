import type { Installation } from '../../installation/index.ts';
import { toFailure } from '../../model/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { readState, updateState } from '../state.ts';
import { removeSet } from './removal.ts';
import { listSets } from './sets.ts';

const STEP = 5;

/** Removes the sets that a person named, a few at a time. What cannot go is named with the reason. */
export async function removeNamedSets(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'remove');
  const { request, tried } = await readState(installation, sessionId, 'snapshotRemoval');
  const wanted = request.sets.filter((name) => !tried.includes(name));
  const now = wanted.slice(0, STEP);
  const sets = await listSets(installation, { subscriptionIds: request.subscriptionIds });
  let removed = 0;
  for (const name of now) {
    const set = sets.find((known) => known.name === name);
    if (!set) continue;
    try {
      const { gone, left } = await removeSet(installation, sessionId, set, 'request');
      removed += gone;
      if (left.length > 0)
        await warn(installation, sessionId, `Snapshot set ${name} stays: ${left.join('; ')}.`);
    } catch (error) {
      await warn(installation, sessionId, `Snapshot set ${name} stays: ${toFailure(error).message}`);
    }
  }
  await updateState(installation, sessionId, 'snapshotRemoval', (state) => ({
    ...state,
    tried: [...state.tried, ...now],
    removed: state.removed + removed,
  }));
  return wanted.length > now.length ? notYet(`${removed} snapshots removed so far`) : seen(null);
}
