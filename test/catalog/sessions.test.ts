import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryCatalog } from '../../lib/catalog/catalog.ts';
import type { Session } from '../../lib/model/index.ts';
import { MACHINE, sessionAt, TestClock } from './support.ts';

const OTHER = '99999999-2222-3333-4444-555555555555';

async function withSessions(count: number, of: (n: number) => Partial<Session> = () => ({})) {
  const clock = new TestClock();
  const { sessions } = memoryCatalog(clock);
  const made: Session[] = [];
  for (let n = 0; n < count; n++) {
    clock.pass(1000);
    const session = sessionAt(clock, of(n));
    await sessions.create(session);
    made.push(session);
  }
  return { clock, sessions, made };
}

describe('sessions', () => {
  it('a session is created once, and the first stays', async () => {
    const { sessions, made } = await withSessions(1);
    const [first] = made;
    if (!first) throw new Error('no session');
    expect(await sessions.create({ ...first, reason: 'again' })).toBe(false);
    expect((await sessions.get(first.id))?.reason).toBe('request');
  });

  it('pages of any size together give every session once, newest first, also of one machine', async () => {
    const { sessions, made } = await withSessions(23, (n) => ({ machineId: n % 3 === 0 ? OTHER : MACHINE }));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(undefined, MACHINE, OTHER),
        async (limit, machineId) => {
          const found: string[] = [];
          let after: string | undefined;
          do {
            const page = await sessions.list({
              limit,
              ...(machineId === undefined ? {} : { machineId }),
              ...(after === undefined ? {} : { after }),
            });
            expect(page.sessions.length).toBeLessThanOrEqual(limit);
            found.push(...page.sessions.map(({ id }) => id));
            after = page.next ?? undefined;
          } while (after !== undefined);
          const expected = made.filter((one) => machineId === undefined || one.machineId === machineId);
          expect(found).toEqual(expected.map(({ id }) => id).reverse());
        },
      ),
      { numRuns: 40 },
    );
  });

  it('running sessions are found until they end', async () => {
    const { sessions, made } = await withSessions(4);
    const [, second] = made;
    if (!second) throw new Error('no session');
    await sessions.update(second.id, (session) => ({ ...session, status: 'succeeded' }));
    const running = await sessions.running();
    expect(running.map(({ id }) => id)).toEqual(
      made
        .filter((one) => one !== second)
        .map(({ id }) => id)
        .reverse(),
    );
  });

  it('a session ends once: what comes later changes nothing', async () => {
    const { sessions, made } = await withSessions(1);
    const id = made[0]?.id ?? '';
    await sessions.update(id, (session) => ({ ...session, status: 'failed' }));
    const after = await sessions.update(id, (session) => ({ ...session, status: 'succeeded' }));
    expect(after.status).toBe('failed');
    expect((await sessions.requestCancel(id)).cancelRequested).toBe(false);
  });

  it('changes of many at once are all kept', async () => {
    const { sessions, made } = await withSessions(1);
    const id = made[0]?.id ?? '';
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        sessions.update(id, (session) => ({ ...session, warnings: [...session.warnings, `w${n}`] })),
      ),
    );
    expect((await sessions.get(id))?.warnings.toSorted()).toEqual(
      Array.from({ length: 20 }, (_, n) => `w${n}`).toSorted(),
    );
  });

  it('touch moves the sign of life, update does not', async () => {
    const { clock, sessions, made } = await withSessions(1);
    const [session] = made;
    if (!session) throw new Error('no session');
    clock.pass(60_000);
    expect((await sessions.update(session.id, (one) => ({ ...one, phase: 'plan' }))).touchedAt).toBe(
      session.touchedAt,
    );
    expect((await sessions.touch(session.id)).touchedAt).toBe(clock.now().toISOString());
  });
});
