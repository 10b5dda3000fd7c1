import { describe, expect, it } from 'vitest';
import { describeDecision, planRetention, type RetentionPoint } from '../../lib/chain/index.ts';
import { type PointRetention, type RetentionRules, retentionRulesSchema } from '../../lib/model/index.ts';

const rulesOf = (keep: RetentionRules['keep'], more: object = {}): RetentionRules =>
  retentionRulesSchema.parse({ keep, ...more });

function point(sequence: number, takenAt: string, retention: Partial<PointRetention> = {}): RetentionPoint {
  return {
    sequence,
    takenAt,
    damaged: false,
    retention: { flags: ['daily'], rules: null, hold: null, expiresAt: null, ...retention },
  };
}

const left = (points: RetentionPoint[], policy: RetentionRules | null, now: string): number[] =>
  planRetention(points, policy, new Date(now))
    .filter(({ keep }) => keep)
    .map(({ item }) => item.sequence);

const two = rulesOf({ daily: { days: 2 } });

describe('retention of a chain', () => {
  it('says for a person what keeps a point, and until when', () => {
    const [newest, older] = planRetention(
      [
        point(1, '2026-04-17T07:00:00Z', { flags: ['daily', 'weekly', 'monthly'] }),
        point(2, '2026-04-18T07:00:00Z'),
      ],
      rulesOf({ daily: { days: 14 }, weekly: { points: 2 }, monthly: { years: 1 } }),
      new Date('2026-04-20T00:00:00Z'),
    );
    expect(newest && describeDecision(newest)).toBe('kept: daily until 2026-05-02, the newest');
    expect(older && describeDecision(older)).toBe(
      'kept: daily until 2026-05-01, weekly, number 1 of the newest 2, monthly until 2027-04-17',
    );
    expect(older?.until).toBeNull();
  });

  it('counts months by the calendar of the zone: the last day of a short month, the same time over a changed clock', () => {
    const rules = rulesOf({ daily: { months: 1 } }, { timeZone: 'Europe/Berlin', keepLast: false });
    const points = [point(1, '2026-01-31T06:00:00Z'), point(2, '2026-03-15T06:00:00Z')];
    const untils = planRetention(points, rules, new Date('2026-02-01T00:00:00Z')).map(({ until }) => until);
    expect(untils).toEqual([new Date('2026-04-15T05:00:00Z'), new Date('2026-02-28T06:00:00Z')]);
  });

  it('applies a changed rule to existing points', () => {
    const points = [1, 2, 3, 4].map((day) => point(day, `2026-03-0${day}T07:00:00Z`, { rules: two }));
    expect(left(points, two, '2026-03-04T08:00:00Z')).toEqual([4, 3]);
    expect(left(points, rulesOf({ daily: { days: 30 } }), '2026-03-04T08:00:00Z')).toEqual([4, 3, 2, 1]);
    expect(left(points, rulesOf({ daily: { points: 1 } }), '2026-03-04T08:00:00Z')).toEqual([4]);
  });

  it('leaves points their last rule when the schedule of a flag is switched off', () => {
    const had = rulesOf({ daily: { days: 2 }, monthly: { months: 6 } });
    const points = [
      point(1, '2026-01-01T07:00:00Z', { flags: ['monthly'], rules: had }),
      point(2, '2026-03-01T07:00:00Z', { rules: had }),
    ];
    expect(left(points, two, '2026-03-01T08:00:00Z')).toEqual([2, 1]);
    const [, decision] = planRetention(points, two, new Date('2026-03-01T08:00:00Z'));
    expect(decision?.rules?.keep).toEqual({ daily: { days: 2 }, monthly: { months: 6 } });
  });

  it('records the rules in force, so that they still hold when the policy is gone', () => {
    const thirty = rulesOf({ daily: { days: 30 } }, { keepLast: false });
    const [decision] = planRetention(
      [point(1, '2026-03-01T07:00:00Z', { rules: two })],
      thirty,
      new Date('2026-03-02T00:00:00Z'),
    );
    expect(decision).toMatchObject({ changed: true, rules: thirty });
    const recorded = [point(1, '2026-03-01T07:00:00Z', { rules: decision?.rules ?? null })];
    expect(left(recorded, null, '2026-03-31T06:59:59Z')).toEqual([1]);
    expect(left(recorded, null, '2026-03-31T07:00:00Z')).toEqual([]);
  });

  it('lets the points of a machine without policy go by their own rules, until none is left', () => {
    const own = (keepLast: boolean) => ({ rules: rulesOf({ daily: { days: 2 } }, { keepLast }) });
    const points = (keepLast: boolean) =>
      [1, 2, 3].map((day) => point(day, `2026-03-0${day}T07:00:00Z`, own(keepLast)));
    expect(left(points(false), null, '2026-03-04T08:00:00Z')).toEqual([3]);
    expect(left(points(false), null, '2026-03-09T08:00:00Z')).toEqual([]);
    expect(left(points(true), null, '2036-03-09T08:00:00Z')).toEqual([3]);
  });

  it('keeps a point for which nobody says anything', () => {
    const [decision] = planRetention(
      [point(1, '2020-01-01T00:00:00Z')],
      null,
      new Date('2026-01-01T00:00:00Z'),
    );
    expect(decision?.why).toBe('the newest, neither a policy nor the point says how long');
  });

  it('keeps a held point until the hold ends or is taken off, and says who holds it', () => {
    const held = (until: string | null) => [
      point(1, '2026-03-01T07:00:00Z', { hold: { by: 'ada', reason: 'audit 12', until } }),
      point(2, '2026-03-09T07:00:00Z'),
    ];
    expect(left(held(null), two, '2030-01-01T00:00:00Z')).toEqual([2, 1]);
    expect(left(held('2026-04-01T00:00:00Z'), two, '2026-03-31T23:59:59Z')).toEqual([2, 1]);
    expect(left(held('2026-04-01T00:00:00Z'), two, '2026-04-01T00:00:00Z')).toEqual([2]);
    expect(planRetention(held(null), two, new Date('2026-04-02T00:00:00Z'))[1]?.why).toBe(
      'held by ada (audit 12) until released',
    );
  });

  it('keeps a point made on demand until its own expiry', () => {
    const points = [
      point(1, '2026-03-01T07:00:00Z', { flags: [], expiresAt: '2026-05-01T00:00:00Z' }),
      point(2, '2026-03-02T07:00:00Z'),
    ];
    expect(left(points, two, '2026-04-30T23:00:00Z')).toEqual([2, 1]);
    expect(left(points, two, '2026-05-01T00:00:00Z')).toEqual([2]);
  });

  it('gives a damaged point no place among the newest, and protects the newest whole one too', () => {
    const points = [
      point(1, '2026-03-01T07:00:00Z'),
      point(2, '2026-03-02T07:00:00Z'),
      { ...point(3, '2026-03-03T07:00:00Z'), damaged: true },
    ];
    expect(left(points, rulesOf({ daily: { points: 2 } }), '2026-03-04T00:00:00Z')).toEqual([3, 2, 1]);
    expect(left(points, two, '2026-06-01T00:00:00Z')).toEqual([3, 2]);
  });

  it('does not give back a flag that was taken off', () => {
    const points = [1, 2, 3].map((day) => point(day, `2026-03-0${day}T07:00:00Z`));
    const first = points[0];
    if (!first) throw new Error('no point');
    const stripped = [{ ...first, retention: { ...first.retention, flags: [] } }, ...points.slice(1)];
    expect(left(stripped, rulesOf({ daily: { points: 3 } }), '2026-03-04T00:00:00Z')).toEqual([3, 2]);
  });
});
