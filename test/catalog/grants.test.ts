import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryCatalog } from '../../lib/catalog/catalog.ts';
import { MAX_GRANTS_PER_FAMILY } from '../../lib/catalog/grants.ts';
import { sessionIds, TestClock } from './support.ts';

const [a = '', b = ''] = sessionIds(2);
const snapshot = (n: number, familyId = 'family') => ({ familyId, snapshotId: `/subscriptions/s/snap${n}` });
const until = '2026-11-21T12:00:00.000Z';
const holder = (sessionId: string, purpose = 'read') => ({ sessionId, purpose, until });

const open = () => {
  const clock = new TestClock();
  return { clock, grants: memoryCatalog(clock).grants };
};

describe('grants', () => {
  it('a family has at most five, and the sixth waits until one has ended', async () => {
    const { grants } = open();
    for (let n = 0; n < 5; n++) {
      expect(await grants.acquire(snapshot(n), holder(a))).toEqual({ wait: false });
    }
    expect(await grants.acquire(snapshot(9), holder(a))).toMatchObject({ wait: true });
    expect(await grants.acquire(snapshot(9, 'other'), holder(a))).toEqual({ wait: false });
    expect(await grants.acquire(snapshot(0), holder(b))).toEqual({ wait: false });
    expect(await grants.release(snapshot(1), a)).toEqual({ last: true });
    expect(await grants.acquire(snapshot(9), holder(a))).toMatchObject({ wait: true });
    await grants.ended(snapshot(1));
    expect(await grants.acquire(snapshot(9), holder(a))).toEqual({ wait: false });
  });

  it('access that is being ended is not given again before it has ended', async () => {
    const { grants } = open();
    await grants.acquire(snapshot(1), holder(a));
    expect(await grants.release(snapshot(1), a)).toEqual({ last: true });
    expect(await grants.acquire(snapshot(1), holder(b))).toMatchObject({ wait: true });
    expect(await grants.release(snapshot(1), a)).toEqual({ last: true });
    await grants.ended(snapshot(1));
    await grants.ended(snapshot(1));
    expect(await grants.release(snapshot(1), a)).toEqual({ last: false });
    expect(await grants.acquire(snapshot(1), holder(b))).toEqual({ wait: false });
    await grants.ended(snapshot(1));
    expect((await grants.get('family'))?.grants).toEqual([
      { snapshotId: snapshot(1).snapshotId, holders: [holder(b)] },
    ]);
  });

  it('a session holds a snapshot once per purpose, whatever the case of its id', async () => {
    const { grants } = open();
    await grants.acquire(snapshot(1), holder(a));
    const upper = { familyId: 'family', snapshotId: snapshot(1).snapshotId.toUpperCase() };
    await grants.acquire(upper, { ...holder(a), until: '2026-11-21T13:00:00.000Z' });
    await grants.acquire(snapshot(1), holder(a, 'base'));
    expect((await grants.get('family'))?.grants[0]?.holders).toHaveLength(2);
    expect(await grants.release(snapshot(1), a, 'read')).toEqual({ last: false });
    expect(await grants.release(snapshot(1), a)).toEqual({ last: true });
  });

  it('nothing of a family is deleted while one of it is held, nor granted while one is deleted', async () => {
    const { clock, grants } = open();
    const soon = () => new Date(clock.now().getTime() + 60_000);
    await grants.acquire(snapshot(1), holder(a));
    expect(await grants.beginDeletion('family', b, soon())).toBe(false);
    await grants.release(snapshot(1), a);
    expect(await grants.beginDeletion('family', b, soon())).toBe(false);
    await grants.ended(snapshot(1));
    expect(await grants.beginDeletion('family', b, soon())).toBe(true);
    expect(await grants.beginDeletion('family', a, soon())).toBe(false);
    expect(await grants.acquire(snapshot(2), holder(a))).toMatchObject({ wait: true });
    await grants.endDeletion('family', a);
    expect(await grants.acquire(snapshot(2), holder(a))).toMatchObject({ wait: true });
    clock.pass(61_000);
    expect(await grants.acquire(snapshot(2), holder(a))).toEqual({ wait: false });
    await grants.endDeletion('family', b);
  });

  it('calls in any order and repeated agree with a set of holders', async () => {
    const step = fc.record({
      call: fc.constantFrom('acquire', 'release', 'ended'),
      snapshot: fc.nat(6),
      session: fc.constantFrom(a, b),
      twice: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { grants } = open();
        const model = new Map<number, Set<string>>();
        const answers: [unknown, unknown][] = [];
        for (const { call, snapshot: n, session, twice } of steps) {
          for (let time = 0; time < (twice ? 2 : 1); time++) {
            const held = model.get(n);
            if (call === 'acquire') {
              const answer = await grants.acquire(snapshot(n), holder(session));
              const room = held ? held.size > 0 : model.size < MAX_GRANTS_PER_FAMILY;
              answers.push([answer.wait, !room]);
              if (room) model.set(n, new Set(held).add(session));
            } else if (call === 'release') {
              held?.delete(session);
              const { last } = await grants.release(snapshot(n), session);
              answers.push([last, held?.size === 0]);
            } else {
              if (held?.size === 0) model.delete(n);
              await grants.ended(snapshot(n));
            }
          }
          expect(answers.map(([got]) => got)).toEqual(answers.map(([, wanted]) => wanted));
          const rows = (await grants.get('family'))?.grants ?? [];
          expect(
            Object.fromEntries(
              rows.map((row) => [row.snapshotId, row.holders.map((one) => one.sessionId).toSorted()]),
            ),
          ).toEqual(
            Object.fromEntries(
              [...model].map(([m, holders]) => [snapshot(m).snapshotId, [...holders].toSorted()]),
            ),
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it('of many that want the last place at once, one gets it', async () => {
    const { grants } = open();
    for (let n = 0; n < MAX_GRANTS_PER_FAMILY - 1; n++) await grants.acquire(snapshot(n), holder(a));
    const answers = await Promise.all([10, 11, 12, 13].map((n) => grants.acquire(snapshot(n), holder(b))));
    expect(answers.filter(({ wait }) => !wait)).toHaveLength(1);
  });
});
