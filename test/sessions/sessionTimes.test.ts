import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  enterPhase,
  noteThrottling,
  type PhaseTime,
  type SessionPhase,
  secondsOf,
  setWaits,
  type Throttling,
  WAIT_KINDS,
  type WaitKind,
  type WaitTime,
} from '../../lib/model/index.ts';
import { bottlenecksOf } from '../../lib/sessions/overview/overview.ts';
import { sessionAt, TestClock } from '../catalog/support.ts';

const at = (second: number) => new Date(1_800_000_000_000 + second * 1000);
const phase = fc.constantFrom<SessionPhase | null>('snapshot', 'plan', 'worker', 'move', null);
const step = fc.integer({ min: 1, max: 500 });

describe('where the time of a session goes', () => {
  it('phases in any order, told once or again, hold the seconds of a simple sum', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(phase, step, fc.boolean()), { maxLength: 40 }), (moves) => {
        let phases: readonly PhaseTime[] = [];
        const sums = new Map<string, number>();
        let now = 0;
        let current: SessionPhase | null = null;
        for (const [next, seconds, twice] of moves) {
          phases = enterPhase(phases, next, at(now));
          if (twice) phases = enterPhase(phases, next, at(now));
          current = next;
          if (current !== null) sums.set(current, (sums.get(current) ?? 0) + seconds);
          now += seconds;
        }
        const found = new Map(phases.map((entry) => [entry.phase as string, secondsOf(entry, at(now))]));
        expect(found).toEqual(sums);
        expect(phases.filter(({ since }) => since !== null).map((entry) => entry.phase)).toEqual(
          current === null ? [] : [current],
        );
        for (const { since, endedAt } of phases) expect(since === null).toBe(endedAt !== null);
      }),
    );
  });

  it('waits come and go side by side, and those that nobody speaks of go on', () => {
    const kinds = fc.subarray([...WAIT_KINDS]);
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, kinds, step), { maxLength: 40 }), (looks) => {
        let waits: readonly WaitTime[] = [];
        const open = new Set<WaitKind>();
        const sums = new Map<string, { times: number; seconds: number }>();
        let now = 0;
        for (const [wanted, among, seconds] of looks) {
          const before = waits;
          waits = setWaits(waits, wanted, among, at(now));
          // Told again it is the same list, so that nothing is written.
          expect(setWaits(waits, wanted, among, at(now + 1))).toBe(waits);
          for (const kind of among) if (!wanted.includes(kind)) open.delete(kind);
          for (const kind of wanted) {
            const sum = sums.get(kind) ?? { times: 0, seconds: 0 };
            if (!open.has(kind)) sums.set(kind, { ...sum, times: sum.times + 1 });
            open.add(kind);
          }
          for (const kind of open) {
            const sum = sums.get(kind);
            if (sum) sums.set(kind, { ...sum, seconds: sum.seconds + seconds });
          }
          now += seconds;
          expect(before).toEqual(before);
        }
        const found = waits.map((wait) => [
          wait.kind,
          { times: wait.times, seconds: secondsOf(wait, at(now)) },
        ]);
        expect(new Map(found as [string, { times: number; seconds: number }][])).toEqual(sums);
      }),
    );
  });

  it('refusals are absolute counts of a source: told late or twice they change nothing, and sources are bounded', () => {
    let known: readonly Throttling[] = [];
    known = noteThrottling(known, { source: 'app-1', calls: 3, seconds: 2 });
    expect(noteThrottling(known, { source: 'app-1', calls: 3, seconds: 2 })).toBe(known);
    expect(noteThrottling(known, { source: 'app-1', calls: 1, seconds: 1 })).toBe(known);
    known = noteThrottling(known, { source: 'app-1', calls: 5, seconds: 4 });
    for (let n = 0; n < 100; n++)
      known = noteThrottling(known, { source: `app-x${n}`, calls: 1, seconds: 1 });
    expect(known[0]).toEqual({ source: 'app-1', calls: 5, seconds: 4 });
    expect(known).toHaveLength(32);
  });

  it('bottlenecks are summed over sessions, longest first, with the session that waited longest', () => {
    const clock = new TestClock();
    const now = clock.now();
    const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000).toISOString();
    const wait = (kind: WaitKind, seconds: number, since: string | null = null) => ({
      kind,
      times: 1,
      seconds,
      since,
    });
    const sessions = [
      sessionAt(clock, { id: 'a'.repeat(20), waits: [wait('worker', 100), wait('access', 5)] }),
      sessionAt(clock, { id: 'b'.repeat(20), waits: [wait('worker', 10, ago(300))] }),
      sessionAt(clock, { id: 'c'.repeat(20), throttling: [{ source: 'x', calls: 4, seconds: 40 }] }),
    ];
    expect(bottlenecksOf(sessions, now)).toEqual([
      { wait: 'worker', seconds: 410, sessions: 2, longest: { sessionId: 'b'.repeat(20), seconds: 310 } },
      { wait: 'throttling', seconds: 40, sessions: 1, longest: { sessionId: 'c'.repeat(20), seconds: 40 } },
      { wait: 'access', seconds: 5, sessions: 1, longest: { sessionId: 'a'.repeat(20), seconds: 5 } },
    ]);
  });
});
