import type { Installation } from '../../installation/index.ts';
import type { PointManifest } from '../../repository/index.ts';
import type { BackupState } from '../state.ts';

const DAY_MS = 24 * 3600_000;
/** A backup at the same time of day, N days later, may begin a little earlier than the last one came to its snapshots. */
const SLACK_MS = 3600_000;

/** Which disks are to be read whole because time has come, or because somebody asked for it. By `uniqueId`. */
export interface WholeReads {
  /** The policy's changed block tracking was reset, and this disk was not read whole since. */
  isReset(uniqueId: string): boolean;
  /** Its last whole read is further back than the policy allows, or nobody remembers one. */
  isDue(uniqueId: string): boolean;
}

/**
 * Looks up when the disks of a chain were last read whole. The catalog remembers removed points too; after it was lost, a disk
 * whose whole reads are forgotten is read whole once more where the policy wants that regularly.
 */
export async function wholeReadsOf(
  { catalog, clock }: Installation,
  { protection }: Pick<BackupState['request'], 'protection'>,
  chainId: string,
  parent: Pick<PointManifest, 'takenAt'> | null,
): Promise<WholeReads> {
  const { resetAt, wholeReadEveryDays } = protection.changedBlocks;
  if (parent === null || (resetAt === null && wholeReadEveryDays === null))
    return { isReset: () => false, isDue: () => false };
  const last = new Map<string, number>();
  for (const { point } of await catalog.points.list(chainId, { removed: true })) {
    for (const { uniqueId, readReason } of point.disks) {
      if (readReason === 'changedBlocks') continue;
      last.set(uniqueId, Math.max(last.get(uniqueId) ?? 0, Date.parse(point.takenAt)));
    }
  }
  return {
    isReset: (uniqueId) =>
      resetAt !== null && (last.get(uniqueId) ?? Date.parse(parent.takenAt)) < Date.parse(resetAt),
    isDue: (uniqueId) =>
      wholeReadEveryDays !== null &&
      clock.now().getTime() - (last.get(uniqueId) ?? 0) >= wholeReadEveryDays * DAY_MS - SLACK_MS,
  };
}
