import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeSets, type SnapshotWorld } from '../../../lib/sessions/snapshots/judge.ts';
import type { SnapshotMetadata } from '../../../lib/sessions/snapshots/metadata.ts';
import type { SnapshotSet } from '../../../lib/sessions/snapshots/sets.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const DAY = 24 * 3600_000;
const ago = (days: number): string => new Date(NOW - days * DAY).toISOString();

const metadata = (more: Partial<SnapshotMetadata> = {}) =>
  ({
    policyId: 'nightly',
    chain: { repositoryId: 'repository', chainId: 'chain', sequence: 3 },
    disks: [{ number: 0, uniqueId: 'disk' }],
    retention: {
      keep: { daily: { points: 2 }, monthly: { days: 90 } },
      timeZone: 'UTC',
      obsoleteAfter: null,
    },
    ...more,
  }) as SnapshotMetadata;

let number = 0;
function set(more: Partial<SnapshotSet> & { days?: number } = {}): SnapshotSet {
  const { days = 10, ...rest } = more;
  const name = `s${++number}-1`;
  return {
    name,
    sessionId: `s${number}`,
    machineId: 'machine',
    subscriptionId: 'subscription',
    origin: 'policy',
    flags: ['daily'],
    takenAt: ago(days),
    expiresAt: null,
    members: [
      {
        id: `/Snapshots/${name}`,
        disk: 0,
        familyId: 'family',
        sizeBytes: 1,
        takenAt: ago(days),
        sku: 'Standard_ZRS',
        problem: null,
        failed: false,
      },
    ],
    metadata: metadata(),
    obstacle: null,
    missingDisks: [],
    ...rest,
  };
}

const world = (more: Partial<SnapshotWorld> = {}): SnapshotWorld => ({
  now: new Date(NOW),
  busySessions: new Set(),
  bases: new Set(),
  chains: new Set(['repository/machine']),
  machines: new Set(['machine']),
  policies: new Set(['nightly']),
  orphanDays: 30,
  ...more,
});
const verdictOf = (one: SnapshotSet, more: Partial<SnapshotWorld> = {}) => {
  const [verdict] = judgeSets([one], world(more));
  return [verdict?.goes, verdict?.orphan];
};
const base = (one: SnapshotSet) => new Set(one.members.map(({ id }) => id.toLowerCase()));
const temporary = { origin: 'temporary', flags: [] } as const;
const noMachine = { machines: new Set<string>() };
const noPolicy = { policies: new Set<string>() };

describe('what becomes of a set of snapshots', () => {
  it.each([
    ['of a policy in force: left to it, however old', set({ days: 900 }), {}, null],
    ['temporary, no base: goes', set(temporary), {}, 'obsolete'],
    ['temporary, younger than a day: stays', set({ ...temporary, days: 0.9 }), {}, null],
    [
      'temporary, of a chain that the catalog does not know: stays',
      set(temporary),
      { chains: new Set<string>() },
      null,
    ],
    [
      'the same after thirty days: goes',
      set({ ...temporary, days: 30 }),
      { chains: new Set<string>() },
      'obsolete',
    ],
    ['manual without an expiry: stays', set({ origin: 'manual', flags: [], days: 900 }), noMachine, null],
    ['manual before its expiry: stays', set({ origin: 'manual', expiresAt: ago(-1) }), {}, null],
    ['manual after its expiry: goes', set({ origin: 'manual', expiresAt: ago(0), days: 0.1 }), {}, 'expired'],
    ['incomplete: goes', set({ missingDisks: [1] }), {}, 'invalid'],
    ['incomplete, its metadata lost: goes', set({ metadata: null, obstacle: 'partsMissing' }), {}, 'invalid'],
    ['incomplete, younger than a day: stays', set({ missingDisks: [1], days: 0.5 }), {}, null],
    ['incomplete and manual: stays', set({ origin: 'manual', missingDisks: [1] }), {}, null],
    ['of another key: stays', set({ metadata: null, obstacle: 'otherKey', days: 900 }), noMachine, null],
    ['of a machine that is gone, by a count: stays for a month', set({ days: 29 }), noMachine, null],
    ['of a machine that is gone, by a count: goes after it', set({ days: 30 }), noMachine, 'orphaned'],
    ['of a machine that is gone, by a time: stays', set({ days: 89, flags: ['monthly'] }), noMachine, null],
    [
      'of a machine that is gone, by a time: goes',
      set({ days: 90, flags: ['monthly'] }),
      noMachine,
      'orphaned',
    ],
    ['temporary of a machine that is gone: goes', set(temporary), noMachine, 'orphaned'],
    ['of a policy that is gone: stays for a month', set({ days: 29 }), noPolicy, null],
    ['of a policy that is gone: goes after it', set({ days: 30 }), noPolicy, 'orphaned'],
    [
      'on demand, without a policy: stays',
      set({ days: 900, metadata: metadata({ policyId: null }) }),
      noPolicy,
      null,
    ],
  ] as const)('%s', (_, one, more, goes) => {
    expect(verdictOf(one, more)[0]).toBe(goes);
  });

  it('a base stays while its machine is there and somebody speaks for it, whatever else is wrong with its set', () => {
    for (const one of [set(temporary), set({ missingDisks: [1] }), set({ days: 900 })])
      expect(verdictOf(one, { bases: base(one) })[0]).toBeNull();
    const old = set({ ...temporary, days: 31 });
    expect(verdictOf(old, { bases: base(old), ...noPolicy })).toEqual(['orphaned', true]);
    const young = set({ ...temporary, days: 29 });
    expect(verdictOf(young, { bases: base(young), ...noPolicy })).toEqual([null, true]);
    expect(verdictOf(young, { bases: base(young), ...noMachine })).toEqual(['orphaned', true]);
  });

  it('the policy that speaks for a machine is the one that last made snapshots of it', () => {
    const old = set({ days: 20, metadata: metadata({ policyId: 'removed' }) });
    const fresh = set({ days: 2 });
    expect(judgeSets([old, fresh], world()).map(({ orphan }) => orphan)).toEqual([false, false]);
    const later = set({ days: 1, metadata: metadata({ policyId: 'removed' }) });
    expect(judgeSets([later, old, fresh], world()).map(({ orphan }) => orphan)).toEqual([true, true, true]);
  });

  it('nothing goes that a session is not done with, that is younger than a day, or that is of another key', () => {
    const anySet = fc
      .record({
        days: fc.double({ min: 0, max: 100, noNaN: true }),
        origin: fc.constantFrom('policy' as const, 'temporary' as const),
        obstacle: fc.constantFrom(null, 'partsMissing' as const, 'otherKey' as const),
        missingDisks: fc.constantFrom([], [1]),
        busy: fc.boolean(),
      })
      .map(({ busy, ...more }) => ({ busy, one: set(more) }));
    fc.assert(
      fc.property(fc.array(anySet, { maxLength: 8 }), fc.boolean(), fc.boolean(), (sets, machine, policy) => {
        const busySessions = new Set(sets.flatMap(({ busy, one }) => (busy ? [one.sessionId] : [])));
        const verdicts = judgeSets(
          sets.map(({ one }) => one),
          world({ busySessions, ...(machine ? {} : noMachine), ...(policy ? {} : noPolicy) }),
        );
        expect(verdicts.map(({ set: one }) => one.name)).toEqual(sets.map(({ one }) => one.name));
        for (const { set: one, goes } of verdicts) {
          if (goes === null) continue;
          expect(busySessions.has(one.sessionId)).toBe(false);
          expect(NOW - Date.parse(one.takenAt ?? '')).toBeGreaterThanOrEqual(DAY);
          expect(one.obstacle).not.toBe('otherKey');
        }
      }),
    );
  });
});
