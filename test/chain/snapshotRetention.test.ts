import { describe, expect, it } from 'vitest';
import { planSnapshots, type RetainedSnapshot } from '../../lib/chain/index.ts';
import { snapshotRulesSchema } from '../../lib/model/index.ts';

const snapshot = (name: string, takenAt: string, more: Partial<RetainedSnapshot> = {}): RetainedSnapshot => ({
  id: `/S/${name}`,
  setId: name.slice(0, 1),
  takenAt,
  origin: 'policy',
  flags: ['daily'],
  keep: null,
  hold: null,
  expiresAt: null,
  ...more,
});

const now = new Date('2026-03-10T00:00:00Z');
const one = snapshotRulesSchema.parse({ keep: { daily: { points: 1 } } });

const told = (snapshots: RetainedSnapshot[], rules: typeof one | null, bases: string[] = []) =>
  planSnapshots(snapshots, rules, new Set(bases), now).map(
    ({ item, keep, why }) => `${item.id} ${keep ? 'kept' : 'goes'}: ${why}`,
  );

describe('retention of snapshots', () => {
  it('keeps the base of the next incremental although its set is long over count', () => {
    const sets = ['A', 'B', 'C'].flatMap((set, day) =>
      ['1', '2'].map((disk) => snapshot(set + disk, `2026-03-0${day + 1}T00:00:00Z`)),
    );
    expect(told(sets, one, ['/s/a2'])).toEqual([
      '/S/A1 goes: daily ended: older than the newest 1',
      '/S/A2 kept: base of the next incremental',
      '/S/B1 goes: daily ended: older than the newest 1',
      '/S/B2 goes: daily ended: older than the newest 1',
      '/S/C1 kept: the newest, daily, number 1 of the newest 1',
      '/S/C2 kept: the newest, daily, number 1 of the newest 1',
    ]);
  });

  it('needs five kept sets in the 7-9-11-13-15-17 example only without our rule: the base of 7:00 stays anyway', () => {
    const sets = [7, 9, 11, 13, 15].map((hour, index) =>
      snapshot('ABCDE'.charAt(index), `2026-03-09T${String(hour).padStart(2, '0')}:00:00Z`),
    );
    expect(told(sets, one, ['/s/a']).filter((line) => line.includes('kept'))).toEqual([
      '/S/A kept: base of the next incremental',
      '/S/E kept: the newest, daily, number 1 of the newest 1',
    ]);
  });

  it('keeps manual ones out of every count, without end or until their expiry', () => {
    const manual = { origin: 'manual', flags: [] } as const;
    const sets = [
      snapshot('A', '2020-01-01T00:00:00Z', manual),
      snapshot('B', '2026-03-01T00:00:00Z', { ...manual, expiresAt: '2026-03-11T00:00:00Z' }),
      snapshot('C', '2026-03-09T00:00:00Z', { ...manual, expiresAt: '2026-03-10T00:00:00Z' }),
      snapshot('D', '2026-03-02T00:00:00Z'),
    ];
    expect(told(sets, { ...one, obsoleteAfter: { days: 15 } })).toEqual([
      '/S/A kept: taken by hand, until removed by hand',
      '/S/B kept: wanted until 2026-03-11',
      '/S/C goes: wanted until 2026-03-10',
      '/S/D kept: the newest, daily, number 1 of the newest 1',
    ]);
  });

  it('lets a temporary one go as soon as it is no base', () => {
    const sets = [
      snapshot('A', '2026-03-08T00:00:00Z', { origin: 'temporary' }),
      snapshot('B', '2026-03-09T00:00:00Z', { origin: 'temporary' }),
    ];
    expect(told(sets, null, ['/s/b'])).toEqual([
      '/S/A goes: temporary, and no longer the base of the next incremental',
      '/S/B kept: base of the next incremental',
    ]);
  });

  it('removes what is obsolete whatever its flags say, but not the newest, a base or a held one', () => {
    const rules = snapshotRulesSchema.parse({ keep: { monthly: { years: 1 } }, obsoleteAfter: { days: 15 } });
    const flags = { flags: ['monthly'] } as const;
    const sets = [
      snapshot('A', '2026-01-01T00:00:00Z', flags),
      snapshot('B', '2026-01-02T00:00:00Z', {
        ...flags,
        hold: { by: 'ada', reason: 'audit', until: null },
      }),
      snapshot('C', '2026-01-03T00:00:00Z', flags),
      snapshot('D', '2026-01-04T00:00:00Z', flags),
    ];
    expect(told(sets, rules, ['/s/c'])).toEqual([
      '/S/A goes: obsolete since 2026-01-16, whatever its flags say',
      '/S/B kept: held by ada (audit) until released',
      '/S/C kept: base of the next incremental',
      '/S/D kept: the newest',
    ]);
  });

  it('goes by the rules in the snapshots when no policy speaks, until none is left', () => {
    const own = { keep: { daily: { days: 5 } } };
    const sets = [snapshot('A', '2026-03-04T00:00:00Z', own), snapshot('B', '2026-03-06T00:00:00Z', own)];
    expect(told(sets, null)).toEqual([
      '/S/A goes: daily ended 2026-03-09',
      '/S/B kept: daily until 2026-03-11',
    ]);
  });
});
