import type { Decision } from './decision.ts';

export interface PointFacts {
  readonly sequence: number;
}

/**
 * Which restore points of a chain stay: the newest `keep`. The newest always stays, whatever is asked.
 * Decisions come back newest first.
 */
export function planPointRetention<T extends PointFacts>(points: readonly T[], keep: number): Decision<T>[] {
  const limit = Math.max(1, keep);
  return [...points]
    .sort((a, b) => b.sequence - a.sequence)
    .map((item, rank) =>
      rank < limit
        ? { item, keep: true, why: `one of the newest ${limit}` }
        : { item, keep: false, why: `older than the newest ${limit}` },
    );
}

export interface SnapshotRetentionFacts {
  readonly id: string;
  /** The session's set that it belongs to: the snapshots of all disks at one time. */
  readonly setId: string;
  /** ISO 8601. */
  readonly takenAt: string;
}

/**
 * Which snapshots stay: those of the newest `keep` sets, and every one that a chain still needs as the base of its next
 * incremental.
 *
 * @param bases lower-case ARM ids of protected bases: the union over all chains
 */
export function planSnapshotRetention<T extends SnapshotRetentionFacts>(
  snapshots: readonly T[],
  keep: number,
  bases: ReadonlySet<string>,
): Decision<T>[] {
  const newestOf = new Map<string, string>();
  for (const { setId, takenAt } of snapshots) {
    const known = newestOf.get(setId);
    if (known === undefined || takenAt > known) newestOf.set(setId, takenAt);
  }
  const sets = [...newestOf]
    .sort(([a, at], [b, bt]) => (at < bt ? 1 : at > bt ? -1 : a < b ? 1 : -1))
    .map(([id]) => id);
  const limit = Math.max(1, keep);
  const kept = new Set(sets.slice(0, limit));
  return snapshots.map((item) => {
    const id = item.id.toLowerCase();
    if (kept.has(item.setId)) return { item, keep: true, why: `of one of the newest ${limit} sets` };
    if (bases.has(id)) return { item, keep: true, why: 'base of the next incremental' };
    return { item, keep: false, why: `older than the newest ${limit} sets` };
  });
}
