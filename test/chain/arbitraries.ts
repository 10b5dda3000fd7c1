import fc from 'fast-check';
import type { RetentionPoint } from '../../lib/chain/index.ts';
import { FLAGS, type KeepRule, type RetentionRules } from '../../lib/model/index.ts';

const HOUR = 3_600_000;
export const BEGIN = Date.parse('2026-01-20T05:00:00Z');

export const keepRule: fc.Arbitrary<KeepRule> = fc.oneof(
  fc.record({ points: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ days: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ weeks: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ months: fc.integer({ min: 1, max: 14 }) }),
  fc.record({ years: fc.integer({ min: 1, max: 2 }) }),
);

export const flagRules = fc
  .array(fc.tuple(fc.constantFrom(...FLAGS), keepRule), { maxLength: 4 })
  .map((entries): RetentionRules['keep'] => Object.fromEntries(entries));

export const rules: fc.Arbitrary<RetentionRules> = fc.record({
  keep: flagRules,
  keepLast: fc.boolean(),
  timeZone: fc.constantFrom('UTC', 'UTC', 'Europe/Berlin', 'America/New_York'),
});

const iso = (at: number): string => new Date(at).toISOString();

/** Taken at hours that every zone has on each day. */
const hoursLater = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 24, max: 24 * 60 }));

interface Draft {
  readonly gap: number;
  readonly flags: RetentionPoint['retention']['flags'];
  readonly own: number;
  readonly hold: number | null | undefined;
  readonly expires: number | null;
  readonly damaged: boolean;
}

const draft: fc.Arbitrary<Draft> = fc.record({
  gap: hoursLater,
  flags: fc.subarray([...FLAGS]),
  own: fc.nat(),
  hold: fc.oneof(
    { weight: 8, arbitrary: fc.constant(undefined) },
    fc.constant(null),
    fc.integer({ min: 1, max: 2000 }),
  ),
  expires: fc.option(fc.integer({ min: 1, max: 2000 }), { freq: 5, nil: null }).map((hours) => hours),
  damaged: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

/** A chain in which each point carries one of a few sets of rules, or none. */
export const chain: fc.Arbitrary<RetentionPoint[]> = fc
  .tuple(fc.array(rules, { minLength: 1, maxLength: 2 }), fc.array(draft, { minLength: 1, maxLength: 12 }))
  .map(([sets, drafts]) => {
    let at = BEGIN;
    let sequence = 0;
    return drafts.map(({ gap, flags, own, hold, expires, damaged }) => {
      at += gap * HOUR;
      while (new Date(at).getUTCHours() < 8 || new Date(at).getUTCHours() > 20) at += HOUR;
      sequence += 1 + (own % 2);
      return {
        sequence,
        takenAt: iso(at),
        damaged,
        retention: {
          flags,
          rules: own % 7 === 0 ? null : (sets[own % sets.length] ?? null),
          hold:
            hold === undefined
              ? null
              : { by: 'ada', reason: 'audit', until: hold === null ? null : iso(at + hold * HOUR) },
          expiresAt: expires === null ? null : iso(at + expires * HOUR),
        },
      };
    });
  });
