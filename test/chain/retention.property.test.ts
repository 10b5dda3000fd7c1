import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  planRetention,
  planSnapshots,
  type RetainedSnapshot,
  type RetentionPoint,
} from '../../lib/chain/index.ts';
import { FLAGS, type SnapshotRules } from '../../lib/model/index.ts';
import { BEGIN, chain, flagRules, rules } from './arbitraries.ts';
import { modelExpiry, modelRetention } from './retentionModel.ts';

/** The same chains each time, so that what is counted below is the same too; another seed looks at others. */
const SEED = Number(process.env['HOLDFAST_TEST_SEED'] ?? 20_261_122);
const DAY = 86_400_000;
const policies = fc.option(rules, { nil: null, freq: 4 });
const moment = fc.integer({ min: 0, max: 900 * 24 }).map((hours) => new Date(BEGIN + hours * 3_600_000));

/** What is left, with flags and rules as the plan says: the repository after the plan was carried out. */
const applied = (points: readonly RetentionPoint[], ...args: [Parameters<typeof planRetention>[1], Date]) =>
  planRetention(points, ...args)
    .filter(({ keep }) => keep)
    .map(({ item, flags, rules }) => ({
      ...item,
      retention: { ...item.retention, flags: [...flags], rules },
    }));

describe('retention of random chains', () => {
  it('is what the plain words of the rules say, over successive runs with changing policies', () => {
    let went = 0;
    fc.assert(
      fc.property(
        chain,
        fc.array(fc.tuple(moment, policies), { minLength: 1, maxLength: 4 }),
        (points, runs) => {
          let ours = points;
          for (const [now, policy] of runs.sort(([a], [b]) => a.getTime() - b.getTime())) {
            const there = ours.filter(({ takenAt }) => new Date(takenAt) <= now);
            const later = ours.filter(({ takenAt }) => new Date(takenAt) > now);
            const plan = planRetention(there, policy, now);
            const model = modelRetention(there, policy, now.getTime());
            expect(
              plan
                .map(({ item, keep, flags }) => ({
                  sequence: item.sequence,
                  keep,
                  flags: [...flags].sort().join(','),
                }))
                .reverse(),
            ).toEqual(model);
            went += model.filter(({ keep }) => !keep).length;
            ours = [...applied(there, policy, now), ...later];
          }
        },
      ),
      { numRuns: 10_000, seed: SEED, endOnFailure: true },
    );
    expect(went).toBeGreaterThan(1000);
  }, 180_000);

  it('carried out twice removes and drops nothing more', () => {
    fc.assert(
      fc.property(chain, policies, moment, (points, policy, now) => {
        const once = applied(points, policy, now);
        const again = planRetention(once, policy, now);
        expect(again.filter(({ keep, dropped, changed }) => !keep || dropped.length > 0 || changed)).toEqual(
          [],
        );
      }),
      { numRuns: 1000, endOnFailure: true },
    );
  });

  it('never takes the newest point, nor the newest whole one, unless keeping the last is switched off', () => {
    fc.assert(
      fc.property(chain, policies, moment, (points, policy, now) => {
        const on = (point: RetentionPoint) => ({
          ...point,
          retention: {
            ...point.retention,
            rules: point.retention.rules && { ...point.retention.rules, keepLast: true },
          },
        });
        const kept = new Set(
          planRetention(points.map(on), policy && { ...policy, keepLast: true }, now)
            .filter(({ keep }) => keep)
            .map(({ item }) => item.sequence),
        );
        expect(kept.has(points.at(-1)?.sequence ?? 0)).toBe(true);
        const whole = points.filter(({ damaged }) => !damaged).at(-1);
        expect(whole === undefined || kept.has(whole.sequence)).toBe(true);
      }),
      { numRuns: 1000, endOnFailure: true },
    );
  });

  it('says when time lets a point go, and it is so: not a millisecond earlier', () => {
    let told = 0;
    fc.assert(
      fc.property(chain, policies, moment, (points, policy, now) => {
        for (const { item, keep, until } of planRetention(points, policy, now)) {
          if (until === null) continue;
          told++;
          expect(keep).toBe(true);
          const keepAt = (at: number) =>
            planRetention(points, policy, new Date(at)).find((other) => other.item === item)?.keep;
          expect([keepAt(until.getTime() - 1), keepAt(until.getTime())]).toEqual([true, false]);
        }
      }),
      { numRuns: 500, seed: SEED, endOnFailure: true },
    );
    expect(told).toBeGreaterThan(100);
  });
});

const set = fc.record({
  age: fc.integer({ min: 1, max: 500 }),
  origin: fc.constantFrom('policy' as const, 'policy' as const, 'temporary' as const, 'manual' as const),
  flags: fc.subarray([...FLAGS]),
  expires: fc.option(fc.integer({ min: -100, max: 100 }), { nil: null }),
  disks: fc.integer({ min: 1, max: 3 }),
});
const snapshotRules: fc.Arbitrary<SnapshotRules> = fc.record({
  keep: flagRules,
  timeZone: fc.constant('UTC'),
  obsoleteAfter: fc.option(fc.record({ days: fc.integer({ min: 15, max: 400 }) }), { nil: null }),
});

describe('retention of random snapshots', () => {
  it('keeps bases, the newest set, manual ones until they expire, and else what the rules say, whole sets', () => {
    const now = BEGIN + 600 * DAY;
    fc.assert(
      fc.property(
        fc.uniqueArray(set, { selector: ({ age }) => age, minLength: 1, maxLength: 10 }),
        fc.option(snapshotRules, { nil: null, freq: 4 }),
        fc.array(fc.nat(30), { maxLength: 2 }),
        (sets, policy, baseNumbers) => {
          const snapshots: RetainedSnapshot[] = sets.flatMap(({ age, origin, flags, expires, disks }) =>
            Array.from({ length: disks }, (_, disk) => ({
              id: `/Snapshots/${age}-${disk}`,
              setId: `set-${age}`,
              takenAt: new Date(now - age * DAY).toISOString(),
              origin,
              flags,
              keep: { daily: { days: 30 } },
              hold: null,
              expiresAt: expires === null ? null : new Date(now + expires * DAY).toISOString(),
            })),
          );
          const bases = new Set(baseNumbers.flatMap((n) => snapshots[n]?.id.toLowerCase() ?? []));
          const ages = sets.filter(({ origin }) => origin === 'policy').map(({ age }) => age);
          const expected = sets.flatMap(({ age, origin, flags, expires, disks }) => {
            const wanted = expires !== null && expires > 0;
            const obsolete =
              modelExpiry(now - age * DAY, policy?.obsoleteAfter ?? { years: 90 }, 'UTC') <= now;
            const ruled = FLAGS.some((flag) => {
              const rule = policy?.keep[flag] ?? (flag === 'daily' ? { days: 30 } : undefined);
              if (!flags.includes(flag) || !rule) return false;
              if (!('points' in rule) || rule.points === undefined)
                return modelExpiry(now - age * DAY, rule, 'UTC') > now;
              const newer = sets.filter(
                (other) => other.origin === 'policy' && other.age < age && other.flags.includes(flag),
              );
              return newer.length < rule.points;
            });
            const keep =
              (origin === 'manual' && expires === null) ||
              wanted ||
              (origin === 'policy' && policy !== null && age === Math.min(...ages)) ||
              (origin === 'policy' && ruled && !obsolete);
            return Array.from({ length: disks }, (_, disk) => keep || bases.has(`/snapshots/${age}-${disk}`));
          });
          const plan = planSnapshots(snapshots, policy, bases, new Date(now));
          expect(plan.map(({ keep }) => keep)).toEqual(expected);
        },
      ),
      { numRuns: 2000, endOnFailure: true },
    );
  });
});
