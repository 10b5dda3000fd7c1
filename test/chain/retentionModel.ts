/**
 * The independent model of retention: for each point and each flag, from the words of the rule, without ranks, plans or
 * calendars of a library. It sorts, counts and steps; it is slow and plain.
 */

import type { RetentionPoint } from '../../lib/chain/index.ts';
import type { Flag, KeepRule, RetentionRules } from '../../lib/model/index.ts';

const HOUR = 3_600_000;

const formats = new Map<string, Intl.DateTimeFormat>();

function wall(zone: string, at: number): number {
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' });
  formats.set(zone, format);
  return Date.parse(`${format.format(at).replace(' ', 'T')}Z`);
}

/** The instant that a wall shows a time, by trying the offsets of the zones in these tests. */
function unwall(zone: string, shown: number): number {
  for (const offset of [0, 2, 1, -4, -5]) {
    if (wall(zone, shown - offset * HOUR) === shown) return shown - offset * HOUR;
  }
  // The clock skips it: as much later as the clock goes forward.
  const before = shown - 12 * HOUR;
  return shown - (wall(zone, before) - before);
}

const sums = new Map<string, number>();

/** Steps on day by day, or month by month from the first of the month, on the wall. */
export function modelExpiry(takenAt: number, rule: KeepRule, zone: string): number {
  const key = JSON.stringify([takenAt, rule, zone]);
  const known = sums.get(key);
  if (known !== undefined) return known;
  const date = new Date(wall(zone, takenAt));
  for (let left = (rule.days ?? 0) + 7 * (rule.weeks ?? 0); left > 0; left--)
    date.setUTCDate(date.getUTCDate() + 1);
  const months = (rule.months ?? 0) + 12 * (rule.years ?? 0);
  if (months > 0) {
    const day = date.getUTCDate();
    date.setUTCDate(1);
    for (let left = months; left > 0; left--) date.setUTCMonth(date.getUTCMonth() + 1);
    const month = date.getUTCMonth();
    for (let reached = 1; reached < day; reached++) {
      date.setUTCDate(date.getUTCDate() + 1);
      if (date.getUTCMonth() === month) continue;
      date.setUTCDate(0);
      break;
    }
  }
  const until = unwall(zone, date.getTime());
  sums.set(key, until);
  return until;
}

export interface ModelVerdict {
  readonly sequence: number;
  readonly keep: boolean;
  readonly flags: string;
}

/** In the order of sequence numbers. */
export function modelRetention(
  points: readonly RetentionPoint[],
  policy: RetentionRules | null,
  now: number,
): ModelVerdict[] {
  return [...points]
    .sort((a, b) => a.sequence - b.sequence)
    .map((point) => {
      const { retention: own, sequence } = point;
      const zone = (policy ?? own.rules)?.timeZone ?? 'UTC';
      const ruleOf = (flag: Flag) => policy?.keep[flag] ?? own.rules?.keep[flag];
      const over = own.flags.filter((flag) => {
        const rule = ruleOf(flag);
        if (!rule) return false;
        if (rule.points === undefined) return modelExpiry(Date.parse(point.takenAt), rule, zone) <= now;
        const newer = points.filter(
          (other) => other.sequence > sequence && !other.damaged && other.retention.flags.includes(flag),
        );
        return newer.length >= rule.points;
      });
      const flags = own.flags.filter((flag) => !over.includes(flag));
      const kept = flags.some((flag) => ruleOf(flag) !== undefined);
      const held = own.hold !== null && (own.hold.until === null || now < Date.parse(own.hold.until));
      const wanted = own.expiresAt !== null && now < Date.parse(own.expiresAt);
      const rules = policy ?? own.rules;
      const last =
        (rules === null || rules.keepLast) &&
        (points.every((other) => other.sequence <= sequence) ||
          (!point.damaged && points.every((other) => other.sequence <= sequence || other.damaged)));
      const ruled = own.flags.some((flag) => ruleOf(flag) !== undefined);
      const young = !ruled && own.expiresAt === null && now < Date.parse(point.takenAt) + 24 * HOUR;
      return {
        sequence,
        keep: kept || held || wanted || last || young || rules === null,
        flags: [...flags].sort().join(','),
      };
    });
}
