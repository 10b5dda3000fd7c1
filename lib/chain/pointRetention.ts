import {
  FLAGS,
  type Flag,
  type Hold,
  HoldfastError,
  joinFlags,
  type PointRetention,
  type RetentionRules,
} from '../model/index.ts';
import type { Decision } from './decision.ts';
import { type Dates, datesIn, type FlagVerdict, judgeFlags } from './flags.ts';

/** What retention has to know of a restore point. */
export interface RetentionPoint {
  readonly sequence: number;
  /** ISO 8601. */
  readonly takenAt: string;
  /** What the point itself says: its manifest, overridden by its state. */
  readonly retention: PointRetention;
  /** It is known that it cannot be restored whole. */
  readonly damaged: boolean;
}

export interface PointDecision<T> extends Decision<T> {
  /** The flags that stay on. */
  readonly flags: readonly Flag[];
  /** The flags that come off now. One that is off does not come back. */
  readonly dropped: readonly Flag[];
  /** The rules in force, to be recorded in the point: they are what applies once no policy speaks for it. */
  readonly rules: RetentionRules | null;
  /** Of a kept one: flags or rules differ from what the point carries. */
  readonly changed: boolean;
  /** When time alone lets it go; null when it goes now, or when something else than time keeps it. */
  readonly until: Date | null;
}

/** A reason to stay. Without `until` it is not time that ends it. */
export interface Reason {
  readonly why: string;
  readonly until: Date | null;
}

/** A point or snapshot that no rule keeps (an extra one on a monthly date, say) stays for so long. */
const TEMPORARY_MS = 24 * 3_600_000;

/**
 * Which restore points of one chain stay, and why. A point stays while any of its flags does, while it is held, until its own
 * expiry, or as the newest. Decisions come back newest first. To apply one twice changes nothing more.
 *
 * @param policy the rules of the policy that protects the machine now, with this repository. They apply to existing points
 *   too; a flag for which they have no rule keeps the one in the point. Null when no policy speaks: each point goes by its own
 */
export function planRetention<T extends RetentionPoint>(
  points: readonly T[],
  policy: RetentionRules | null,
  now: Date,
  datesOf: (timeZone: string) => Dates = rememberDates(),
): PointDecision<T>[] {
  const ordered = [...points].sort((a, b) => b.sequence - a.sequence);
  const rules = ordered.map(({ retention }) => rulesInForce(retention.rules, policy));
  const zone = (index: number): Dates => datesOf(rules[index]?.timeZone ?? 'UTC');
  const flagged = ordered.map((point, index) => ({
    takenAt: instant(point),
    flags: point.retention.flags,
    keep: rules[index]?.keep ?? {},
    intact: !point.damaged,
  }));
  // Ranks are counted over the whole chain; dates, in the zone of each point's rules.
  const verdictsIn = new Map<string, FlagVerdict[][]>();
  const verdictsOf = (index: number): FlagVerdict[] => {
    const name = rules[index]?.timeZone ?? 'UTC';
    const all = verdictsIn.get(name) ?? judgeFlags(flagged, now, datesOf(name));
    verdictsIn.set(name, all);
    return all[index] ?? [];
  };
  const newestIntact = ordered.findIndex(({ damaged }) => !damaged);
  return ordered.map((item, index) => {
    const inForce = rules[index] ?? null;
    const verdicts = verdictsOf(index);
    const dropped = verdicts.filter(({ stays }) => !stays).map(({ flag }) => flag);
    const flags = joinFlags(item.retention.flags.filter((flag) => !dropped.includes(flag)));
    const reasons = [
      ...verdicts.filter(({ stays }) => stays),
      ...ownReasons(item.retention, now, zone(index)),
      ...lastReasons(index, newestIntact, inForce),
    ];
    if (inForce === null) reasons.push({ why: 'neither a policy nor the point says how long', until: null });
    else if (verdicts.length === 0)
      reasons.push(...temporary(item.retention, instant(item), now, zone(index)));
    const keep = reasons.length > 0;
    return {
      item,
      keep,
      why: keep ? because(reasons) : whyGone(verdicts, item.retention, now, zone(index)),
      flags,
      dropped,
      rules: inForce,
      changed: keep && (dropped.length > 0 || !sameRules(inForce, item.retention.rules)),
      until: latest(reasons),
    };
  });
}

/** One way of reading dates per zone, each made once. */
export function rememberDates(): (timeZone: string) => Dates {
  const known = new Map<string, Dates>();
  return (timeZone) => {
    const dates = known.get(timeZone) ?? datesIn(timeZone);
    known.set(timeZone, dates);
    return dates;
  };
}

function instant({ sequence, takenAt }: Pick<RetentionPoint, 'sequence' | 'takenAt'>): Date {
  const at = new Date(takenAt);
  if (!Number.isNaN(at.getTime())) return at;
  throw new HoldfastError('invalidInput', `Restore point ${sequence} has no time: "${takenAt}".`, {
    target: 'takenAt',
  });
}

function rulesInForce(own: RetentionRules | null, policy: RetentionRules | null): RetentionRules | null {
  return policy === null ? own : { ...policy, keep: { ...own?.keep, ...policy.keep } };
}

/** Compared by what they say, whatever the order in which it is said. */
function sameRules(a: RetentionRules | null, b: RetentionRules | null): boolean {
  const text = (rules: RetentionRules | null) =>
    rules && JSON.stringify([rules.keepLast, rules.timeZone, FLAGS.map((flag) => rules.keep[flag] ?? null)]);
  return text(a) === text(b);
}

/** Holds, and the expiry of what was made on demand. */
export function ownReasons(
  own: { readonly hold: Hold | null; readonly expiresAt: string | null },
  now: Date,
  { show }: Dates,
): Reason[] {
  const reasons: Reason[] = [];
  const { hold, expiresAt } = own;
  if (hold !== null) {
    const until = hold.until === null ? null : new Date(hold.until);
    const by = `held by ${hold.by} (${hold.reason})`;
    if (until === null) reasons.push({ why: `${by} until released`, until });
    else if (now < until) reasons.push({ why: `${by} until ${show(until)}`, until });
  }
  if (expiresAt !== null && now < new Date(expiresAt)) {
    const until = new Date(expiresAt);
    reasons.push({ why: `wanted until ${show(until)}`, until });
  }
  return reasons;
}

function lastReasons(index: number, newestIntact: number, rules: RetentionRules | null): Reason[] {
  if (!(rules?.keepLast ?? true)) return [];
  if (index === 0) return [{ why: 'the newest', until: null }];
  return index === newestIntact ? [{ why: 'the newest that is not damaged', until: null }] : [];
}

/** A reason only for what has no expiry of its own. */
export function temporary(
  own: { readonly expiresAt: string | null },
  takenAt: Date,
  now: Date,
  { show }: Dates,
): Reason[] {
  const until = new Date(takenAt.getTime() + TEMPORARY_MS);
  return own.expiresAt === null && now < until
    ? [{ why: `temporary, until ${show(until)}: no rule keeps it`, until }]
    : [];
}

export const because = (reasons: readonly Reason[]): string => reasons.map(({ why }) => why).join(', ');

/** The moment when the last of the reasons ends; null when there is none, or one that time does not end. */
function latest(reasons: readonly Reason[]): Date | null {
  const ends = reasons.map(({ until }) => until?.getTime() ?? Number.POSITIVE_INFINITY);
  const last = Math.max(...ends);
  return Number.isFinite(last) ? new Date(last) : null;
}

export function whyGone(
  verdicts: readonly FlagVerdict[],
  { hold, expiresAt }: { readonly hold: Hold | null; readonly expiresAt: string | null },
  now: Date,
  { show }: Dates,
): string {
  const ended = verdicts.filter(({ stays }) => !stays).map(({ why }) => why);
  if (expiresAt !== null && new Date(expiresAt) <= now)
    ended.push(`wanted until ${show(new Date(expiresAt))}`);
  if (hold?.until) ended.push(`no longer held since ${show(new Date(hold.until))}`);
  return ended.length > 0 ? ended.join(', ') : 'no rule keeps it';
}
