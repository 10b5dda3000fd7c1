import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { type PolicyInput, policySchema } from '../../lib/model/index.ts';
import { diffDocuments, mergePatch } from '../../lib/sessions/policies/diff.ts';
import { readPolicy } from '../../lib/sessions/policies/findings.ts';
import { checkPolicy } from '../../lib/sessions/policies/rules.ts';
import * as any from '../scope/arbitraries.ts';

const NOW = new Date('2026-11-22T00:00:00Z');
const nightly = { every: 'day' as const, at: ['22:00'] };

describe('reading a document', () => {
  const problems = (document: unknown) =>
    readPolicy(document).findings.map(({ path, message }) => [path, message]);

  test('each problem has a JSON pointer; unknown keys are problems, with their own', () => {
    expect(
      problems({
        id: 'No Spaces',
        scope: { tag: [], exclude: { disks: [{}], machines: ['a/b'] } },
        calendar: { timeZone: 'Mars/Olympus', schedules: [{ every: 'day', at: ['25:00'], dayz: 1 }] },
        storage: { regions: { 'west/eu~rope': 'Not OK' } },
        retention: { keep: { daily: { points: 1, days: 2 } } },
      }).map(([path]) => path),
    ).toEqual([
      '/id',
      '/scope/exclude/machines/0',
      '/scope/exclude/disks/0',
      '/scope/tag',
      '/calendar/timeZone',
      '/calendar/schedules/0/at/0',
      '/calendar/schedules/0/dayz',
      '/retention/keep/daily',
      '/storage/regions/west~1eu~0rope',
    ]);
  });

  test('a form that comes near one of several is judged by that one', () => {
    const calendar = { schedules: [{ ...nightly, days: ['moonday'] }] };
    expect(problems({ id: 'p', scope: {}, calendar })).toEqual([
      ['/calendar/schedules/0/days/0', expect.stringContaining('"monday"')],
    ]);
    expect(problems({ id: 'p', scope: {}, calendar: { schedules: [{ ...nightly, days: 7 }] } })).toEqual([
      ['/calendar/schedules/0/days', 'is none of the forms that are known here'],
    ]);
  });

  test('a calendar and an SLA together are refused', () => {
    const both = { id: 'p', scope: {}, calendar: { schedules: [nightly] }, sla: { rpoMinutes: 60 } };
    expect(problems(both)).toEqual([['/sla', 'a policy has a calendar or an SLA, not both']]);
  });
});

describe('what the schema cannot see', () => {
  const found = (more: Partial<PolicyInput>) =>
    checkPolicy(
      policySchema.parse({ id: 'p', scope: { all: true }, ...more }),
      ['default', 'second'],
      NOW,
    ).map(({ level, path, message }) => `${level} ${path}: ${message}`);
  const calendar = { schedules: [nightly] };

  test('a sound policy has nothing against it', () => {
    expect(found({ calendar })).toEqual([]);
    expect(found({ sla: { rpoMinutes: 60 }, retention: { keep: { daily: { points: 48 } } } })).toEqual([]);
  });

  test('calendars that never come due, in a calendar and in an SLA', () => {
    const never = { every: 'cron' as const, cron: '0 0 30 2 *' };
    expect(found({ calendar: { schedules: [nightly, never] } })).toEqual([
      expect.stringMatching(/^error \/calendar\/schedules\/1: .* never comes due/),
    ]);
    expect(found({ sla: { rpoMinutes: 60, schedules: [never] } })).toEqual([
      expect.stringMatching(/^error \/sla\/schedules\/0: /),
    ]);
    expect(found({ calendar: { schedules: [{ every: 'cron', cron: 'every day' }] } })).toEqual([
      expect.stringMatching(/^error \/calendar\/schedules\/0\/cron: /),
    ]);
  });

  test('repositories that nobody knows, and a copy that would be none', () => {
    const storage = { regions: { eastus: 'west' }, copies: ['second', 'default', 'second'] };
    expect(found({ calendar, storage })).toEqual([
      'error /storage/regions/eastus: there is no repository west; there is default, second',
      'error /storage/copies/1: repository default would get the same restore point twice',
      'error /storage/copies/2: repository second would get the same restore point twice',
    ]);
  });

  test('retention: flags that nobody keeps, rules that nothing feeds, and what is over before the next', () => {
    const weekly = { every: 'week' as const, at: ['02:00'], days: ['sunday' as const] };
    const keep = { daily: { days: 14 }, weekly: { days: 6 }, yearly: { years: 7 } };
    expect(found({ calendar: { schedules: [nightly, weekly] }, retention: { keep } })).toEqual([
      'warning /retention/keep/weekly: shorter than the schedule: what is made on 2026-11-22 is over before 2026-11-29',
      'warning /retention/keep/yearly: no schedule makes yearly restore points',
    ]);
    const monthly = { every: 'month' as const, at: ['03:00'], on: 'lastDay' as const };
    expect(found({ calendar: { schedules: [nightly, monthly] } })).toEqual([
      'warning /retention/keep/monthly: monthly restore points are made, and no rule keeps them as such',
    ]);
    // A month after 30 November is 30 December.
    const gap = found({
      calendar: { schedules: [monthly] },
      retention: { keep: { monthly: { months: 1 } } },
    });
    expect(gap).toEqual([expect.stringContaining('is over before 2026-12-31')]);
  });

  test('snapshots alone are judged by the rules of snapshots', () => {
    const snapshots = { every: 'day' as const, at: ['12:00'], makes: 'snapshot' as const };
    expect(found({ calendar: { schedules: [snapshots] } })).toEqual([]);
    expect(
      found({
        calendar: { schedules: [{ ...snapshots, flags: ['weekly'] }] },
        snapshots: { retention: { keep: {} } },
      }),
    ).toEqual([
      'warning /snapshots/retention/keep/weekly: weekly snapshots are made, and no rule keeps them as such',
    ]);
  });

  test('a scope that names nothing, a region that nobody knows, and what is named and excluded', () => {
    const scope = { machines: ['web-1'], regions: ['Atlantis'], exclude: { machines: ['WEB-1'] } };
    expect(found({ scope: {} })).toEqual([
      'warning /scope: it names nothing: no machine is in it',
      'warning : it has neither a calendar nor an SLA: it runs on request only',
    ]);
    expect(found({ scope, calendar: { timeZone: 'region', schedules: [nightly] } })).toEqual([
      'warning /scope/regions/0: Atlantis is no region that is known here, nor its time zone, which the schedule needs',
      'warning /scope/exclude/machines/0: machine WEB-1 is named, and excluded: it is out',
    ]);
  });
});

describe('differences', () => {
  test('the deepest places that tell them; lists of another length as wholes', () => {
    const before = { a: { b: [1, 2], c: null }, d: [1], gone: 1 };
    const after = { a: { b: [1, 3], c: null }, d: [1, 2], new: { x: 1 } };
    expect(diffDocuments(before, after)).toEqual([
      { path: '/a/b/1', before: 2, after: 3 },
      { path: '/d', before: [1], after: [1, 2] },
      { path: '/gone', before: 1 },
      { path: '/new', after: { x: 1 } },
    ]);
  });

  const document = fc.jsonValue({ maxDepth: 3 });
  test('none exactly when the documents are equal', () => {
    fc.assert(
      fc.property(document, document, (a, b) => {
        expect(diffDocuments(a, structuredClone(a))).toEqual([]);
        expect(diffDocuments(a, b).length === 0).toBe(isDeepStrictEqual(a, b));
      }),
    );
  });

  test('a merge patch is that of the RFC', () => {
    const cases: [unknown, unknown, unknown][] = [
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
      [{ a: [1] }, { a: 'c' }, { a: 'c' }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [['a'], { a: 1 }, { a: 1 }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ];
    for (const [target, patch, expected] of cases) expect(mergePatch(target, patch)).toEqual(expected);
  });
});

test('a policy that is written as YAML or JSON and read again is the same policy', () => {
  const policy = fc
    .record({
      scope: any.scope,
      priority: fc.integer({ min: 1, max: 1000 }),
      description: fc.string({ maxLength: 60 }),
      enabled: fc.boolean(),
    })
    .map((given) => policySchema.parse({ id: 'p', calendar: { schedules: [nightly] }, ...given }));
  fc.assert(
    fc.property(policy, (given) => {
      expect(readPolicy(parse(stringify(given))).policy).toEqual(given);
      expect(readPolicy(JSON.parse(JSON.stringify(given))).policy).toEqual(given);
    }),
  );
});
