import { type Flag, type FlagRules, type Hold, joinFlags, type SnapshotRules } from '../model/index.ts';
import type { Decision } from './decision.ts';
import { type Dates, datesIn, type FlagVerdict, judgeFlags } from './flags.ts';
import { because, ownReasons, type Reason, temporary, whyGone } from './pointRetention.ts';

/** What retention has to know of one snapshot of a machine: of one disk, at one moment. */
export interface RetainedSnapshot {
  readonly id: string;
  /** The snapshots of all disks at one time are a set, and stay or go together. */
  readonly setId: string;
  /** ISO 8601. */
  readonly takenAt: string;
  /**
   * `policy`: of a schedule that keeps snapshots. `temporary`: a backup was read from it, and nobody asked to keep it.
   * `manual`: taken by a person, outside of every count.
   */
  readonly origin: 'policy' | 'temporary' | 'manual';
  readonly flags: readonly Flag[];
  /** What the snapshot itself says, for when no policy speaks. */
  readonly keep: FlagRules | null;
  readonly hold: Hold | null;
  /** Of a manual one: when it may go; null: not before a person removes it. */
  readonly expiresAt: string | null;
}

export interface SnapshotDecision<T> extends Decision<T> {
  /** Those of its set, without those that its rules have ended. */
  readonly flags: readonly Flag[];
}

interface SnapshotSet {
  readonly takenAt: Date;
  readonly origin: RetainedSnapshot['origin'];
  readonly flags: Flag[];
  readonly keep: FlagRules;
  readonly intact: true;
  readonly hold: Hold | null;
  readonly expiresAt: string | null;
}

/**
 * Which snapshots of one machine stay, and why, in the order given. The base of a next incremental and, while a policy speaks,
 * the newest set stay whatever the rules say; so does a manual one without an expiry.
 *
 * @param rules of the policy; null when none speaks for the machine: each set goes by its own
 * @param bases lower-case ARM ids: the union over all chains
 */
export function planSnapshots<T extends RetainedSnapshot>(
  snapshots: readonly T[],
  rules: SnapshotRules | null,
  bases: ReadonlySet<string>,
  now: Date,
  dates: Dates = datesIn(rules?.timeZone ?? 'UTC'),
): SnapshotDecision<T>[] {
  const sets = gather(snapshots, rules);
  const counted = [...sets].filter(([, { origin }]) => origin === 'policy');
  const judged = judgeFlags(
    counted.map(([, set]) => set),
    now,
    dates,
  );
  const verdictsOf = new Map(counted.map(([id], index) => [id, judged[index] ?? []]));
  // Without a policy there is no next run for it: then the last one goes too.
  const newest = rules === null ? undefined : counted[0]?.[0];
  return snapshots.map((item) => {
    const set = sets.get(item.setId);
    const verdicts = verdictsOf.get(item.setId) ?? [];
    const ended = verdicts.filter(({ stays }) => !stays).map(({ flag }) => flag);
    const flags = (set?.flags ?? []).filter((flag) => !ended.includes(flag));
    const reasons: Reason[] = [];
    if (bases.has(item.id.toLowerCase())) reasons.push({ why: 'base of the next incremental', until: null });
    if (item.setId === newest) reasons.push({ why: 'the newest', until: null });
    if (set === undefined) return { item, keep: true, why: 'of an unknown set', flags };
    const obsolete = obsoleteSince(set, rules, now, dates);
    reasons.push(...reasonsOf(set, verdicts, obsolete !== null, now, dates));
    if (reasons.length > 0) return { item, keep: true, why: because(reasons), flags };
    const why =
      obsolete ??
      (set.origin === 'temporary'
        ? 'temporary, and no longer the base of the next incremental'
        : whyGone(verdicts, set, now, dates));
    return { item, keep: false, why, flags };
  });
}

/** The sets by id, newest first. */
function gather(
  snapshots: readonly RetainedSnapshot[],
  rules: SnapshotRules | null,
): Map<string, SnapshotSet> {
  const sets = new Map<string, SnapshotSet>();
  for (const { setId, takenAt, origin, flags, keep, hold, expiresAt } of snapshots) {
    const known = sets.get(setId);
    const at = new Date(takenAt);
    sets.set(setId, {
      takenAt: known && known.takenAt > at ? known.takenAt : at,
      origin,
      flags: joinFlags(flags, known?.flags ?? []),
      keep: { ...(known?.keep ?? keep), ...rules?.keep },
      intact: true,
      hold: known?.hold ?? hold,
      expiresAt: known?.expiresAt ?? expiresAt,
    });
  }
  return new Map(
    [...sets].sort(
      ([a, { takenAt: at }], [b, { takenAt: bt }]) => bt.getTime() - at.getTime() || (a < b ? 1 : -1),
    ),
  );
}

function reasonsOf(
  set: SnapshotSet,
  verdicts: readonly FlagVerdict[],
  obsolete: boolean,
  now: Date,
  dates: Dates,
): Reason[] {
  const own = ownReasons(set, now, dates);
  if (set.origin === 'manual' && set.expiresAt === null)
    return [{ why: 'taken by hand, until removed by hand', until: null }, ...own];
  if (set.origin !== 'policy' || obsolete) return own;
  const reasons: Reason[] = [...verdicts.filter(({ stays }) => stays), ...own];
  if (reasons.length === 0 && verdicts.length === 0) reasons.push(...temporary(set, set.takenAt, now, dates));
  return reasons;
}

function obsoleteSince(
  { origin, takenAt }: SnapshotSet,
  rules: SnapshotRules | null,
  now: Date,
  { expiry, show }: Dates,
): string | null {
  if (origin === 'manual' || !rules?.obsoleteAfter) return null;
  const until = expiry(takenAt, rules.obsoleteAfter);
  return until <= now ? `obsolete since ${show(until)}, whatever its flags say` : null;
}
