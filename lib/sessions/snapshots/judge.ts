import { planSnapshots, type RetainedSnapshot } from '../../chain/index.ts';
import type { SnapshotSet } from './sets.ts';

/** What is known of the world that a set of snapshots belongs to. */
export interface SnapshotWorld {
  readonly now: Date;
  /** Sessions that run, or still have snapshots to give back: their sets are their own business. */
  readonly busySessions: ReadonlySet<string>;
  /** Snapshots (ids, lower case) that a next incremental is read against. */
  readonly bases: ReadonlySet<string>;
  /** `<repository>/<machine>` of the chains that the catalog knows the head of. */
  readonly chains: ReadonlySet<string>;
  /** Machines that exist. One whose subscription could not be listed counts as existing. */
  readonly machines: ReadonlySet<string>;
  readonly policies: ReadonlySet<string>;
  /** How long snapshots stay that nobody speaks for, unless they say themselves that they stay longer. */
  readonly orphanDays: number;
}

/** Why a set may go: each class has its own line in the report. */
export const GONE_CLASSES = ['invalid', 'obsolete', 'orphaned', 'expired'] as const;
export type GoneClass = (typeof GONE_CLASSES)[number];

export interface SetVerdict {
  readonly set: SnapshotSet;
  /** Null: it stays. */
  readonly goes: GoneClass | null;
  /** Nobody speaks for it: its machine, or its policy, is gone. */
  readonly orphan: boolean;
  readonly why: string;
}

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
/** Younger sets are left alone, whatever they look like: what made them may still be at it. */
const YOUNG_MS = DAY_MS;

/**
 * Which sets no policy's retention will ever look at again, and go: incomplete ones, temporary ones that nothing is read
 * against any more, those of machines and policies that are gone, and manual ones after their time. Sets of a policy that is
 * in force are left to its retention, manual ones without an expiry to people, and what is sealed by another key to whoever
 * has it. In the order given.
 */
export function judgeSets(sets: readonly SnapshotSet[], world: SnapshotWorld): SetVerdict[] {
  const orphans = orphanedMachines(sets, world);
  const ownRules = judgeByThemselves(sets, world);
  return sets.map((set): SetVerdict => {
    const orphan = set.origin !== 'manual' && orphans.has(set.machineId);
    const stays = (why: string): SetVerdict => ({ set, goes: null, orphan, why });
    const goes = (as: GoneClass, why: string): SetVerdict => ({ set, goes: as, orphan, why });
    const age = set.takenAt === null ? 0 : world.now.getTime() - Date.parse(set.takenAt);
    if (world.busySessions.has(set.sessionId)) return stays('its session is not done with it');
    if (set.origin === 'manual') return manual(set, world.now, stays, goes);
    if (set.obstacle === 'otherKey') return stays('its tags were sealed by another key than ours');
    if (age < YOUNG_MS) return stays('younger than a day');
    const lapsed = age >= world.orphanDays * DAY_MS;
    const machineGone = !world.machines.has(set.machineId);
    const base = set.members.some(({ id }) => world.bases.has(id.toLowerCase()));
    if (base && !machineGone && !(orphan && lapsed)) return stays('base of the next incremental');
    const wrong = incomplete(set);
    if (wrong !== null) return goes('invalid', wrong);
    if (orphan) {
      const gone = machineGone ? 'its machine is gone' : 'its policy is gone';
      const own = ownRules.get(set.name);
      if (own?.keep && !(lapsed && !own.keepsByTime)) return stays(`${gone}; ${own.why}`);
      return goes(
        'orphaned',
        own?.keep ? `${gone}, and it is older than ${world.orphanDays} days` : `${gone}; ${own?.why ?? ''}`,
      );
    }
    if (set.origin === 'policy') return stays('left to the retention of its policy');
    const { chain } = set.metadata ?? {};
    if (chain && !world.chains.has(`${chain.repositoryId}/${set.machineId}`) && !lapsed)
      return stays('the catalog does not know its chain; a rescan of the repository may find it');
    return goes('obsolete', 'temporary, and no longer the base of the next incremental');
  });
}

type Say = (why: string) => SetVerdict;

function manual(
  { expiresAt }: SnapshotSet,
  now: Date,
  stays: Say,
  goes: (as: GoneClass, why: string) => SetVerdict,
): SetVerdict {
  if (expiresAt === null) return stays('taken by hand, until removed by hand');
  return Date.parse(expiresAt) <= now.getTime()
    ? goes('expired', `expired on ${expiresAt}`)
    : stays(`taken by hand, until ${expiresAt}`);
}

/** What is wrong with a set that will not come right any more; null when it is whole. */
function incomplete({ obstacle, missingDisks, members }: SnapshotSet): string | null {
  if (obstacle === 'partsMissing')
    return 'snapshots of the set are gone, and what it said of itself with them';
  if (missingDisks.length > 0) return `the snapshots of disks ${missingDisks.join(', ')} are gone`;
  return members.some(({ failed }) => failed) ? 'Azure failed to make one of its snapshots' : null;
}

/** A machine is orphaned when it is gone, or when the policy that last made snapshots of it is. */
function orphanedMachines(
  sets: readonly SnapshotSet[],
  { machines, policies }: SnapshotWorld,
): ReadonlySet<string> {
  const newest = new Map<string, SnapshotSet>();
  for (const set of sets) {
    if (set.origin === 'manual' || set.metadata === null) continue;
    const known = newest.get(set.machineId);
    if (!known || (set.takenAt ?? '') > (known.takenAt ?? '')) newest.set(set.machineId, set);
  }
  const orphaned = new Set<string>();
  for (const { machineId } of sets) if (!machines.has(machineId)) orphaned.add(machineId);
  for (const [machineId, { metadata }] of newest) {
    const policyId = metadata?.policyId ?? null;
    if (policyId !== null && !policies.has(policyId)) orphaned.add(machineId);
  }
  return orphaned;
}

interface OwnVerdict {
  readonly keep: boolean;
  readonly why: string;
  /** A time that the set itself names is not over. */
  readonly keepsByTime: boolean;
}

/** What sets say of themselves, for when nobody else speaks. */
function judgeByThemselves(
  sets: readonly SnapshotSet[],
  { now, bases, machines }: SnapshotWorld,
): Map<string, OwnVerdict> {
  const verdicts = new Map<string, OwnVerdict>();
  for (const machineId of new Set(sets.map((set) => set.machineId))) {
    const own = sets.filter((set) => set.machineId === machineId).flatMap(retained);
    // A machine that is gone has no next incremental.
    const plan = planSnapshots(own, null, machines.has(machineId) ? bases : new Set(), now);
    const byTime = planSnapshots(own.map(withoutCounts), null, new Set(), now);
    for (const [i, { item, keep, why }] of plan.entries()) {
      const known = verdicts.get(item.setId);
      if (known?.keep) continue;
      verdicts.set(item.setId, { keep, why, keepsByTime: byTime[i]?.keep ?? false });
    }
  }
  return verdicts;
}

/** The snapshots of a set as retention looks at them. Without a time it cannot be judged yet. */
export function retained(set: SnapshotSet): RetainedSnapshot[] {
  const { name, origin, flags, metadata, expiresAt, takenAt } = set;
  if (takenAt === null) return [];
  return set.members.map((member) => ({
    id: member.id,
    setId: name,
    takenAt: member.takenAt ?? takenAt,
    origin,
    flags,
    keep: metadata?.retention?.keep ?? null,
    hold: null,
    expiresAt,
  }));
}

function withoutCounts(snapshot: RetainedSnapshot): RetainedSnapshot {
  const timed = Object.entries(snapshot.keep ?? {}).filter(([, rule]) => rule.points === undefined);
  return { ...snapshot, keep: Object.fromEntries(timed) };
}
