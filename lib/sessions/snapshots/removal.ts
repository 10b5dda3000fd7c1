import type { Installation } from '../../installation/index.ts';
import { tryDeleteSnapshot } from './delete.ts';
import type { SnapshotSet } from './sets.ts';

/** What became of a set that was to go. */
export interface SetRemoved {
  /** Snapshots that are gone now. */
  readonly gone: number;
  /** Why the others stay for now, for people; empty when none does. */
  readonly left: readonly string[];
}

/**
 * Deletes the snapshots of a set, one after the other. What cannot go now (it is read, it is locked) stays, with the reason.
 * May be repeated.
 */
export async function removeSet(
  installation: Installation,
  sessionId: string,
  { name, machineId, members }: SnapshotSet,
  reason: 'invalid' | 'obsolete' | 'orphaned' | 'expired' | 'request',
): Promise<SetRemoved> {
  let gone = 0;
  const left = new Set<string>();
  for (const { id } of members) {
    const deletion = await tryDeleteSnapshot(installation, sessionId, id);
    if (deletion.gone) gone++;
    else left.add(deletion.why);
  }
  if (gone > 0)
    installation.telemetry.event('holdfast.snapshot.removed', {
      sessionId,
      machineId,
      set: name,
      snapshots: gone,
      reason,
    });
  return { gone, left: [...left] };
}
