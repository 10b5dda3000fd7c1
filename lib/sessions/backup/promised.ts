import type { Installation } from '../../installation/index.ts';
import { type Failure, isHoldfastError, type Machine, type Session } from '../../model/index.ts';
import { listSets } from '../snapshots/sets.ts';
import { findBackup } from './settle.ts';
import { keepSnapshots } from './snapshots.ts';

/**
 * A policy that keeps snapshots has promised one for each slot, also when no restore point could be made of it: the complete
 * set of a scheduled backup that failed stays, and is never a base. One a slot: where an earlier try has left one, this one
 * goes. After a cancel nothing stays. May be repeated.
 */
export async function keepPromisedSnapshots(
  installation: Installation,
  { id: sessionId, machineId }: Session,
  failure: Failure | null,
): Promise<void> {
  if (failure === null || failure.code === 'cancelled' || machineId === null) return;
  const state = await findBackup(installation, sessionId);
  if (!state?.snapshots) return;
  const { slot, flags, copyOf, machine, protection } = state.request;
  const { keep } = protection.snapshots.retention;
  if (slot === null || copyOf !== null || !flags.some((flag) => keep[flag] !== undefined)) return;
  if (await hasOther(installation, sessionId, { machine, slot })) return;
  await keepSnapshots(installation, sessionId, state.snapshots);
}

async function hasOther(
  installation: Installation,
  sessionId: string,
  { machine, slot }: { readonly machine: Machine; readonly slot: string },
): Promise<boolean> {
  const scope = { subscriptionIds: [machine.subscriptionId], machineId: machine.id };
  try {
    return (await listSets(installation, scope)).some(
      ({ sessionId: by, origin, takenAt }) =>
        by !== sessionId && origin === 'policy' && takenAt !== null && takenAt >= slot,
    );
  } catch (error) {
    // A session has to end, whatever cannot be looked at; a set too many is no harm.
    if (isHoldfastError(error)) return false;
    throw error;
  }
}
