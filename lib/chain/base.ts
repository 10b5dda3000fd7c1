import { type ReadReason, TiB } from '../model/index.ts';

/** A snapshot as the platform describes it now. */
export interface SnapshotFacts {
  readonly id: string;
  /** `incrementalSnapshotFamilyId`; only members of one family can be compared. */
  readonly familyId: string;
  /** `creationData.sourceUniqueId`: the disk it was taken of. */
  readonly sourceUniqueId: string;
  readonly sizeBytes: number;
}

/** What the last committed restore point of the chain says of this disk. */
export interface PreviousRead {
  readonly snapshotId: string;
  readonly snapshotFamilyId: string;
  readonly uniqueId: string;
  readonly sizeBytes: number;
}

export interface BaseChoice {
  readonly baseSnapshotId: string | null;
  readonly reason: ReadReason;
}

/** Azure keeps no difference over a resize that crosses this size. */
const RESIZE_BOUNDARY = 4 * TiB;

export interface BaseOptions {
  /** False: the policy reads disks whole each time. */
  readonly changedBlockTracking: boolean;
  /** An operator asked to read everything once. */
  readonly reset: boolean;
  /** The policy reads disks whole from time to time, and it is time. */
  readonly wholeReadDue: boolean;
}

/**
 * Decides how a disk is read.
 *
 * @param previous the disk in the last committed restore point; null when it is not in it
 * @param base the snapshot that `previous` names, looked up now; null when it is gone
 */
export function chooseBase(
  current: SnapshotFacts,
  previous: PreviousRead | null,
  base: SnapshotFacts | null,
  options: BaseOptions,
): BaseChoice {
  const whole = (reason: ReadReason): BaseChoice => ({ baseSnapshotId: null, reason });
  if (!previous || previous.uniqueId !== current.sourceUniqueId) return whole('first');
  if (options.reset) return whole('reset');
  if (!options.changedBlockTracking) return whole('cbtOff');
  if (!base) return whole('baseMissing');
  const sameLineage =
    base.familyId === current.familyId &&
    previous.snapshotFamilyId === current.familyId &&
    base.sourceUniqueId === current.sourceUniqueId;
  if (!sameLineage) return whole('otherFamily');
  const crossed = previous.sizeBytes <= RESIZE_BOUNDARY !== current.sizeBytes <= RESIZE_BOUNDARY;
  if (crossed) return whole('resizedAcross4TB');
  // Last, so that what made a difference impossible is said even then.
  if (options.wholeReadDue) return whole('scheduled');
  return { baseSnapshotId: base.id, reason: 'changedBlocks' };
}
