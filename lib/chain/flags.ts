import { FLAGS, type Flag, type FlagRules, type KeepRule } from '../model/index.ts';
import { isoDate, wallClock } from '../schedule/index.ts';
import { type Expiry, expiryIn } from './expiry.ts';

/** Something that carries flags: a restore point, or the set of snapshots of one moment. */
export interface Flagged {
  readonly takenAt: Date;
  readonly flags: readonly Flag[];
  /** The rules that are in force for it. */
  readonly keep: FlagRules;
  /** A damaged one takes no place among "the newest three". */
  readonly intact: boolean;
}

/** What one rule says of one flag. */
export interface FlagVerdict {
  readonly flag: Flag;
  readonly stays: boolean;
  /** When time takes the flag off; null where a count decides. */
  readonly until: Date | null;
  /** For a person: `daily until 2026-05-01`, `weekly, number 2 of the newest 2`. */
  readonly why: string;
}

/** Time in one zone: how rules are counted, and how dates are written. */
export interface Dates {
  readonly expiry: Expiry;
  readonly show: (at: Date) => string;
}

export function datesIn(timeZone: string): Dates {
  const clock = wallClock(timeZone);
  return { expiry: expiryIn(timeZone), show: (at) => isoDate(clock.at(at).day) };
}

/**
 * Judges every flag that has a rule; a flag without one keeps nothing, and stays as a label. One list of verdicts per item.
 *
 * @param items newest first
 */
export function judgeFlags(items: readonly Flagged[], now: Date, dates: Dates): FlagVerdict[][] {
  const newer = new Map<Flag, number>(FLAGS.map((flag) => [flag, 0]));
  return items.map((item) => {
    const verdicts: FlagVerdict[] = [];
    for (const flag of FLAGS) {
      if (!item.flags.includes(flag)) continue;
      const before = newer.get(flag) ?? 0;
      if (item.intact) newer.set(flag, before + 1);
      const rule = item.keep[flag];
      if (rule !== undefined) verdicts.push(judge(flag, rule, item, before + 1, now, dates));
    }
    return verdicts;
  });
}

function judge(
  flag: Flag,
  rule: KeepRule,
  { takenAt }: Flagged,
  rank: number,
  now: Date,
  { expiry, show }: Dates,
): FlagVerdict {
  if (rule.points !== undefined) {
    const stays = rank <= rule.points;
    const why = stays
      ? `${flag}, number ${rank} of the newest ${rule.points}`
      : `${flag} ended: older than the newest ${rule.points}`;
    return { flag, stays, until: null, why };
  }
  const until = expiry(takenAt, rule);
  const stays = now < until;
  return { flag, stays, until, why: `${flag} ${stays ? 'until' : 'ended'} ${show(until)}` };
}
