import { describe, expect, it } from 'vitest';
import {
  type CoverageFacts,
  countCoverage,
  coverageOf,
  damageReport,
  missingPoints,
  rpoOf,
} from '../../lib/chain/index.ts';
import { calendarSchema } from '../../lib/model/index.ts';

const at = (iso: string) => new Date(iso);

describe('coverage of a machine', () => {
  const calendar = calendarSchema.parse({
    schedules: [
      { every: 'day', at: ['22:00'] },
      { every: 'hour', hours: [0, 6, 12, 18], makes: 'snapshot' },
    ],
  });
  const policy = { id: 'nightly', enabled: true, calendar };
  const facts = (more: Partial<CoverageFacts> = {}): CoverageFacts => ({
    policy,
    joinedAt: at('2026-01-01T00:00:00Z'),
    takenAt: [],
    ...more,
  });
  const ran = { takenAt: [at('2026-03-01T22:00:10Z'), at('2026-02-28T22:00:10Z')] };

  it.each([
    ['2026-03-02T12:00:00Z', 'protected', null],
    ['2026-03-03T01:59:00Z', 'protected', null],
    ['2026-03-03T02:00:00Z', 'late', '2026-03-02T22:00:00.000Z'],
    ['2026-03-04T01:00:00Z', 'late', '2026-03-02T22:00:00.000Z'],
    ['2026-03-04T02:00:00Z', 'late', '2026-03-03T22:00:00.000Z'],
  ])('at %s is %s: a slot has four hours to show its point', (now, state, missed) => {
    const coverage = coverageOf(facts(ran), at(now));
    expect([coverage.state, coverage.missed?.toISOString() ?? null]).toEqual([state, missed]);
    expect(coverage.rpoSeconds).toBe((at(now).getTime() - at('2026-03-01T22:00:10Z').getTime()) / 1000);
  });

  it('is late by the next slot where slots are closer than four hours', () => {
    const grid = calendarSchema.parse({ schedules: [{ every: 'interval', minutes: 15 }] });
    const often = facts({ policy: { ...policy, calendar: grid }, takenAt: [at('2026-03-01T10:00:05Z')] });
    expect(coverageOf(often, at('2026-03-01T10:29:59Z')).state).toBe('protected');
    expect(coverageOf(often, at('2026-03-01T10:30:00Z')).state).toBe('late');
  });

  it('gives a staggered machine its time', () => {
    const staggered = { ...policy, calendar: { ...calendar, staggerMinutes: 60 } };
    expect(coverageOf(facts({ ...ran, policy: staggered }), at('2026-03-03T02:30:00Z')).state).toBe(
      'protected',
    );
    expect(coverageOf(facts({ ...ran, policy: staggered }), at('2026-03-03T03:00:00Z')).state).toBe('late');
  });

  it('finds a yearly slot that was missed months ago', () => {
    const yearly = calendarSchema.parse({
      schedules: [{ every: 'year', at: ['01:00'], month: 1, on: { day: 2 } }],
    });
    const coverage = coverageOf(
      facts({ policy: { ...policy, calendar: yearly } }),
      at('2026-11-01T00:00:00Z'),
    );
    expect(coverage.missed).toEqual(at('2026-01-02T01:00:00Z'));
  });

  it('waits for the first slot after the machine joined, and says when that is', () => {
    const joined = facts({ joinedAt: at('2026-03-01T23:00:00Z') });
    expect(coverageOf(joined, at('2026-03-02T12:00:00Z'))).toEqual({
      state: 'waiting',
      why: 'first slot at 2026-03-02T22:00:00.000Z',
      missed: null,
      rpoSeconds: null,
    });
    expect(coverageOf(joined, at('2026-03-03T02:00:00Z')).state).toBe('late');
  });

  it.each([
    [{ policy: null }, 'in no policy'],
    [{ policy: { ...policy, enabled: false } }, 'policy nightly is disabled'],
    [{ policy: { ...policy, calendar: null } }, 'policy nightly has no schedule'],
  ])('is none when nothing backs it up', (more, why) => {
    expect(coverageOf(facts({ ...ran, ...more }), at('2026-03-02T00:00:00Z'))).toMatchObject({
      state: 'none',
      why,
    });
  });

  it('is counted by state', () => {
    expect(countCoverage([{ state: 'late' }, { state: 'none' }, { state: 'late' }])).toEqual({
      protected: 0,
      late: 2,
      waiting: 0,
      none: 1,
    });
  });
});

describe('the recovery point of a machine', () => {
  it('is the age of its newest point, and the longest stretch without one in the period', () => {
    const taken = ['2026-03-01T00:00:00Z', '2026-03-05T12:00:00Z', '2026-03-05T00:00:00Z'].map(at);
    const now = at('2026-03-06T00:00:00Z');
    expect(rpoOf(taken, at('2026-03-04T00:00:00Z'), now)).toEqual({
      lastAt: at('2026-03-05T12:00:00Z'),
      currentSeconds: 12 * 3600,
      worstSeconds: 4 * 86_400,
    });
    expect(rpoOf(taken, at('2026-03-05T06:00:00Z'), now).worstSeconds).toBe(12 * 3600);
    expect(rpoOf([], now, now)).toEqual({ lastAt: null, currentSeconds: null, worstSeconds: null });
  });
});

describe('a damaged or missing restore point', () => {
  it('affects nothing else when it is missing or unreadable, and says so', () => {
    const report = damageReport([
      { sequence: 1, damage: null },
      { sequence: 3, damage: { kind: 'unreadable' } },
      { sequence: 2, damage: { kind: 'missing' } },
    ]);
    expect(report.map(({ sequence, affects }) => [sequence, affects])).toEqual([
      [2, []],
      [3, []],
    ]);
    expect(report[0]?.what).toBe(
      'Restore point 2 is missing: it was removed outside of Holdfast. Nothing else is affected: every other restore point reaches its blocks by itself.',
    );
  });

  it('shares damage exactly with the points that reach the same object', () => {
    const data = (...objects: string[]) => ({ kind: 'data', objects }) as const;
    const report = damageReport([
      { sequence: 1, damage: data('p1') },
      { sequence: 2, damage: data('p1', 'p2') },
      { sequence: 3, damage: data('p2') },
      { sequence: 4, damage: null },
      { sequence: 5, damage: data('p9') },
    ]);
    expect(report.map(({ affects }) => affects)).toEqual([[2], [1, 3], [2], []]);
    expect(report[3]?.what).toContain('No other restore point reaches them; all others are whole.');
  });

  it('is found by comparing what the catalog knows with what is there', () => {
    expect(missingPoints([5, 1, 3], new Set([3, 4]))).toEqual([1, 5]);
  });
});
