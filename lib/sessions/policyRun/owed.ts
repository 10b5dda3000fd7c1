import type { Covered } from '../../catalog/index.ts';
import { type Calendar, type Flag, joinFlags } from '../../model/index.ts';
import { owedSlot } from '../../schedule/index.ts';

/** A slot that a run is for. */
export interface RunSlot {
  readonly at: Date;
  readonly region: string | null;
  readonly late: boolean;
  readonly makes: 'snapshot' | 'backup';
  readonly flags: readonly Flag[];
  readonly backupFlags: readonly Flag[];
}

export type Made = Pick<RunSlot, 'makes' | 'flags' | 'backupFlags'>;

/**
 * What a run makes of one machine: what its slot wants, with the flags of earlier slots that the machine has nothing for, so
 * that a weekly flag is not lost with the run that failed. What is made does not change by it: a backup that failed is not made
 * up for at a slot of snapshots.
 *
 * @param from slots before it are not owed: the policy was disabled then
 */
export function owedBy(calendar: Calendar, slot: RunSlot, covered: Covered, from: Date): Made {
  const since = (known: string | null): Date =>
    new Date(Math.max(Date.parse(known ?? covered.joinedAt), from.getTime() - 1));
  const { makes } = slot;
  const snapshot = owedSlot(calendar, since(covered.snapshot), slot.at);
  const backup = makes === 'backup' ? owedSlot(calendar, since(covered.backup), slot.at) : null;
  return {
    makes,
    flags: joinFlags(slot.flags, snapshot?.flags ?? []),
    backupFlags: makes === 'backup' ? joinFlags(slot.backupFlags, backup?.backupFlags ?? []) : [],
  };
}
