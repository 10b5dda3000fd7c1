import type { Installation } from '../../installation/index.ts';
import { HoldfastError } from '../../model/index.ts';
import { type Looked, seen } from '../look.ts';
import { findState } from '../state.ts';
import { removeNamedSets } from './remove.ts';
import { rescanSnapshots } from './rescan.ts';
import { retainSnapshots } from './retention.ts';

/** A part of a session that is about all our snapshots: what it was asked for decides. */
export async function tendSnapshots(installation: Installation, sessionId: string): Promise<Looked<null>> {
  const state = await findState(installation, sessionId);
  switch (state?.request.kind) {
    case 'snapshotRetention':
      return retainSnapshots(installation, sessionId);
    case 'snapshotRemoval':
      return removeNamedSets(installation, sessionId);
    case 'snapshotRescan':
      await rescanSnapshots(installation, sessionId);
      return seen(null);
    default:
      throw new HoldfastError('internal', `Session ${sessionId} is about no snapshots.`, {
        target: sessionId,
      });
  }
}
