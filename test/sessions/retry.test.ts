import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Session } from '../../lib/model/index.ts';
import { planRetries } from '../../lib/sessions/policyRun/retry.ts';
import { sessionAt, TestClock } from '../catalog/support.ts';

const RETRY = { attempts: 3, waitMinutes: 10 };
const RUN = { cancelRequested: false };
const machine = (n: number) => `0000000${n}-0000-0000-0000-000000000000`;

/** A try of machine `n` that began `began` minutes after ten and took one. */
function tried(n: number, began: number, over: Partial<Session> = {}): Session {
  const clock = new TestClock();
  clock.pass(began * 60_000);
  const session = sessionAt(clock, { machineId: machine(n), status: 'failed', ...over });
  clock.pass(60_000);
  return { ...session, endedAt: clock.now().toISOString() };
}
const at = (minutes: number) => new Date(Date.parse('2026-11-21T10:00:00Z') + minutes * 60_000);
const plan = (children: Session[], now: Date, scheduled = true, run = RUN) =>
  planRetries(run, children, { retry: RETRY, scheduled }, now);
const failure = (code: 'jobPoisoned' | 'diskUnsupported') => ({ code, message: code, retryable: false });

describe('retries of a policy run', () => {
  it('a failed machine is tried again ten minutes after it failed, and no other', () => {
    const children = [
      tried(1, 0, { error: failure('jobPoisoned') }),
      tried(2, 0, { status: 'succeeded' }),
      tried(3, 0, { status: 'skipped' }),
      tried(4, 0, { status: 'cancelled' }),
      tried(5, 0, { status: 'warning' }),
      tried(6, 0, { status: 'running', endedAt: null }),
    ];
    expect(plan(children, at(10.9))).toEqual({ due: [], waiting: 1, next: at(11), failed: [] });
    expect(plan(children, at(11))).toEqual({
      due: [{ machineId: machine(1), attempt: 1 }],
      waiting: 0,
      next: null,
      failed: [],
    });
  });

  it('three times, then it has failed, with what the last try said', () => {
    const tries = [tried(1, 0), tried(1, 11), tried(1, 22), tried(1, 33)];
    for (const count of [1, 2, 3]) {
      expect(plan(tries.slice(0, count), at(60)).due).toEqual([{ machineId: machine(1), attempt: count }]);
    }
    expect(plan(tries, at(60))).toEqual({ due: [], waiting: 0, next: null, failed: [tries[3]] });
  });

  it('not in a run on request, not when the run is cancelled, and not what would fail again', () => {
    const children = [tried(1, 0)];
    const none = { due: [], waiting: 0, next: null, failed: children };
    expect(plan(children, at(60), false)).toEqual(none);
    expect(plan(children, at(60), true, { cancelRequested: true })).toEqual(none);
    const hopeless = [tried(1, 0, { error: failure('diskUnsupported') })];
    expect(plan(hopeless, at(60))).toEqual({ ...none, failed: hopeless });
  });

  it('a machine whose second try succeeds has not failed', () => {
    expect(plan([tried(1, 0), tried(1, 11, { status: 'succeeded' })], at(60))).toEqual({
      due: [],
      waiting: 0,
      next: null,
      failed: [],
    });
  });

  it('whatever fails how often: no machine has more than its tries, and at the end each is done or named', () => {
    const outcomes = fc.array(fc.boolean(), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(outcomes, { minLength: 1, maxLength: 6 }), (machines) => {
        const children = machines.map((fails, n) => tried(n, n, fails[0] ? {} : { status: 'succeeded' }));
        for (let minute = 0; minute < 200; minute++) {
          for (const { machineId, attempt } of plan(children, at(minute)).due) {
            const n = machines.findIndex((_, i) => machine(i) === machineId);
            children.push(tried(n, minute, machines[n]?.[attempt] ? {} : { status: 'succeeded' }));
          }
        }
        const end = plan(children, at(200));
        expect([end.due, end.waiting]).toEqual([[], 0]);
        // The first so many tries in a row failed: then it is over.
        const lost = machines.flatMap((fails, n) => (fails.slice(0, 4).every(Boolean) ? [machine(n)] : []));
        expect(new Set(end.failed.map(({ machineId }) => machineId))).toEqual(new Set(lost));
        for (const [n, fails] of machines.entries()) {
          const until = fails.slice(0, 4).indexOf(false);
          expect(children.filter(({ machineId }) => machineId === machine(n))).toHaveLength(
            until < 0 ? 4 : until + 1,
          );
        }
      }),
      { numRuns: 200 },
    );
  });
});
