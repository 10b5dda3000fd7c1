import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planPointRetention, planSnapshotRetention } from '../../lib/chain/index.ts';

describe('retention of restore points', () => {
  it('keeps the newest N and says why the others go', () => {
    const plan = planPointRetention([{ sequence: 2 }, { sequence: 9 }, { sequence: 5 }], 2);
    expect(plan.map(({ item, keep }) => [item.sequence, keep])).toEqual([
      [9, true],
      [5, true],
      [2, false],
    ]);
    expect(plan[2]?.why).toBe('older than the newest 2');
  });

  it('never removes the newest, whatever is asked', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1 }), { minLength: 1 }),
        fc.integer({ min: -5, max: 5 }),
        (numbers, keep) => {
          const plan = planPointRetention(
            numbers.map((sequence) => ({ sequence })),
            keep,
          );
          expect(plan.filter((decision) => decision.keep).map(({ item }) => item.sequence)).toEqual(
            [...numbers].sort((a, b) => b - a).slice(0, Math.max(1, keep)),
          );
        },
      ),
    );
  });
});

const snapshots = [
  { id: '/S/A1', setId: 'a', takenAt: '2026-01-01T00:00:00Z' },
  { id: '/S/A2', setId: 'a', takenAt: '2026-01-01T00:00:01Z' },
  { id: '/S/B1', setId: 'b', takenAt: '2026-01-02T00:00:00Z' },
  { id: '/S/C1', setId: 'c', takenAt: '2026-01-03T00:00:00Z' },
];

describe('retention of snapshots', () => {
  const goes = (keep: number, bases: string[]) =>
    planSnapshotRetention(snapshots, keep, new Set(bases))
      .filter((decision) => !decision.keep)
      .map(({ item }) => item.id);

  it('keeps whole sets, the newest first', () => {
    expect(goes(2, [])).toEqual(['/S/A1', '/S/A2']);
    expect(goes(1, [])).toEqual(['/S/A1', '/S/A2', '/S/B1']);
  });

  it('never removes the base of a next incremental, in whatever case its id is written', () => {
    expect(goes(1, ['/s/a2'])).toEqual(['/S/A1', '/S/B1']);
  });
});
