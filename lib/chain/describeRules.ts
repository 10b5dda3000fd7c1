import { FLAGS, type FlagRules, type KeepRule, type RetentionRules } from '../model/index.ts';

/** Retention of restore points in words: `14 daily, 5 weekly, yearly for 7 years`. */
export function describeRetention({ keep, keepLast }: RetentionRules): string {
  const rules = describeFlagRules(keep);
  return keepLast ? rules : `${rules}; the last one goes too`;
}

/** `14 daily, weekly for 5 weeks`; `nothing` without a rule. */
export const describeFlagRules = (keep: FlagRules): string =>
  FLAGS.flatMap((flag) => {
    const rule = keep[flag];
    return rule ? [ruleText(flag, rule)] : [];
  }).join(', ') || 'nothing';

function ruleText(flag: string, rule: KeepRule): string {
  if (rule.points !== undefined) return `${rule.points} ${flag}`;
  const [unit = 'days', count = 0] = Object.entries(rule).find(([, value]) => value !== undefined) ?? [];
  return `${flag} for ${count} ${count === 1 ? unit.slice(0, -1) : unit}`;
}
