import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { chainIdFor, sessionId } from '../../lib/model/index.ts';
import { createChain, MemoryBlobStore, verifyRepository } from '../../lib/repository/index.ts';
import {
  advance,
  NOTHING_VERIFIED,
  readVerified,
  type Verified,
  verifiedAt,
} from '../../lib/repository/verify/record.ts';
import { Lab, MACHINE } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { damagedCopy, flip, packNames, spoil, TestClock } from './verifyLab.ts';

const MINUTE = 60_000;
let lab: Lab;
let disk: ModelDisk;

beforeAll(async () => {
  const clock = new TestClock('2026-11-20T00:00:00Z');
  const store = (name: string) => new MemoryBlobStore(name, clock.now);
  lab = await Lab.start({
    shardBytes: 16 * 1024,
    blockBytes: 4096,
    meta: store('meta'),
    data: store('data'),
  });
  disk = new ModelDisk('os', 9000);
  for (let i = 0; i < 3; i++) {
    for (let page = 0; page < 4; page++) disk.write(page * 2048 + i * 40, 50, 3 + i + page);
    await lab.backup([disk]);
    clock.pass(MINUTE);
  }
});

/** One run; the packs that it verified, in order. */
async function run(of: Lab, clock: TestClock, budget: { ms?: number; bytes?: number }, freshMs?: number) {
  const order: string[] = [];
  const result = await verifyRepository(of.chain.repository, {
    depth: 'rolling',
    clock,
    budget,
    ...(freshMs === undefined ? {} : { freshMs }),
    // A minute a pack.
    onPack: (name) => {
      order.push(name);
      clock.pass(MINUTE);
    },
  });
  return { ...result, order };
}

describe('rolling verification', () => {
  test('covers everything once a round, the least recently verified first, however the budget is cut', async () => {
    const names = await packNames(lab);
    expect(names.length).toBeGreaterThan(5);
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.record({ ms: fc.integer({ min: 0, max: 9 * MINUTE }) }),
            fc.record({ bytes: fc.integer({ min: 1, max: 60_000 }) }),
          ),
          { minLength: 1, maxLength: 30 },
        ),
        async (budgets) => {
          const copy = await damagedCopy(lab);
          const clock = new TestClock();
          const last = new Map(names.map((name) => [name, -1]));
          let tick = 0;
          for (const budget of budgets) {
            const { order } = await run(copy, clock, budget);
            expect(order.length).toBeGreaterThan(0);
            for (const name of order) {
              const oldest = Math.min(...last.values());
              // Whatever was verified is the one that was not for longest (among those never verified: by name).
              expect(last.get(name)).toBe(oldest);
              expect(name).toBe([...last].find(([, at]) => at === oldest)?.[0]);
              last.set(name, tick++);
            }
            clock.pass(MINUTE);
          }
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  test('without a budget covers all in one run, and what is fresh enough is left out of the next', async () => {
    const copy = await damagedCopy(lab);
    const clock = new TestClock();
    const names = await packNames(copy);
    const all = await run(copy, clock, {});
    expect(all).toMatchObject({ order: names, complete: true, packs: names.length });
    expect(await run(copy, clock, {}, 60 * MINUTE)).toMatchObject({ order: [], complete: true });
    clock.pass(60 * MINUTE);
    const some = await run(copy, clock, {}, 60 * MINUTE);
    expect(some.order).toEqual(names);
  });

  test('verifies what was written since, at the end of the round, and says whether all was covered', async () => {
    const copy = await damagedCopy(lab);
    const clock = new TestClock();
    const before = await packNames(copy);
    const first = await run(copy, clock, { ms: 3 * MINUTE });
    expect(first).toMatchObject({ order: before.slice(0, 3), complete: false });
    const grown = new ModelDisk('os', 9000);
    grown.content.set(disk.content);
    grown.write(8000, 40, 12);
    await copy.backup([grown], { reason: 'scheduled' });
    const after = await packNames(copy);
    expect(after.length).toBeGreaterThan(before.length);
    const rest = await run(copy, clock, { ms: (after.length - 3) * MINUTE });
    expect(rest.order).toEqual(after.slice(3));
  });

  test('of several chains takes the one whose turn is oldest', async () => {
    const copy = await damagedCopy(lab);
    const clock = new TestClock();
    const one = await packNames(copy);
    expect((await run(copy, clock, {})).order).toEqual(one);
    clock.pass(MINUTE);
    const id = chainIdFor(sessionId(clock.now(), 'other'), MACHINE);
    const machine = { id: MACHINE, armId: '/subscriptions/s/y', name: 'vm1' };
    const founding = {
      id,
      machine,
      session: sessionId(clock.now(), 'other'),
      createdAt: clock.now().toISOString(),
      blockBytes: 4096,
    };
    copy.chain = await createChain(copy.chain.repository, founding);
    copy.truth.clear();
    await copy.backup([disk]);
    const other = await packNames(copy);
    expect(other.length).toBeGreaterThan(2);
    // The other was never verified; then the first one is older; then, pack by pack, whichever is.
    expect((await run(copy, clock, { ms: 2 * MINUTE })).order).toEqual(other.slice(0, 2));
    expect((await run(copy, clock, { ms: (one.length + other.length - 3) * MINUTE })).order).toEqual([
      ...other.slice(2),
      ...one.slice(0, one.length - 1),
    ]);
    expect((await run(copy, clock, { ms: 2 * MINUTE })).order).toEqual([
      ...one.slice(-1),
      ...other.slice(0, 1),
    ]);
  });

  test('goes on from the beginning when its record is lost or damaged, and says so', async () => {
    const copy = await damagedCopy(lab);
    const clock = new TestClock();
    const names = await packNames(copy);
    const name = `chains/${copy.chain.id}/verified`;
    await run(copy, clock, { ms: 2 * MINUTE });
    await copy.meta.remove(name);
    expect((await run(copy, clock, { ms: MINUTE })).order).toEqual(names.slice(0, 1));
    await spoil(copy.meta, name, flip(60));
    const { order, findings } = await run(copy, clock, { ms: 3 * MINUTE });
    expect(order).toEqual(names.slice(0, 3));
    expect(findings.map(({ object }) => object)).toContain(name);
    expect((await readVerified(copy.chain))?.cursor).toBe(names[2]);
  });

  test('a record that is put back costs work, and hides nothing', async () => {
    const copy = await damagedCopy(lab);
    const clock = new TestClock();
    const names = await packNames(copy);
    const name = `chains/${copy.chain.id}/verified`;
    await run(copy, clock, { ms: 2 * MINUTE });
    const { bytes } = await copy.meta.read(name);
    await run(copy, clock, { ms: 3 * MINUTE });
    await spoil(copy.meta, name, () => bytes);
    expect((await run(copy, clock, { ms: MINUTE })).order).toEqual(names.slice(2, 3));
  });

  test('two at once: both find what there is to find, and the record stays whole', async () => {
    const copy = await damagedCopy(lab);
    const names = await packNames(copy);
    await spoil(copy.data, names[2] ?? '', flip(41));
    const results = await Promise.all([run(copy, new TestClock(), {}), run(copy, new TestClock(), {})]);
    for (const { damaged } of results) expect(damaged.length).toBeGreaterThan(0);
    expect(await readVerified(copy.chain)).not.toBeNull();
  });

  test('a run that is stopped marks and records what it did so far with the next save', async () => {
    const copy = await damagedCopy(lab);
    const stop = new AbortController();
    const clock = new TestClock();
    let packs = 0;
    const stopped = verifyRepository(copy.chain.repository, {
      depth: 'rolling',
      clock,
      signal: stop.signal,
      onPack: () => {
        if (++packs === 3) stop.abort(new Error('enough'));
      },
    });
    await expect(stopped).rejects.toThrow('enough');
    expect((await run(copy, clock, {})).order).toEqual(await packNames(copy));
  });
});

describe('the verification record', () => {
  test('tells of each pack a time at which it was verified, or an earlier one, in bounded size', () => {
    const name = (n: number) => `p${String(n).padStart(5, '0')}`;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 400 }), (steps) => {
        const truth = new Map<number, number>();
        let record: Verified = NOTHING_VERIFIED;
        let [at, time] = [-1, 1_000_000];
        for (const step of steps) {
          const to = Math.min(at + step, 999);
          for (let n = at + 1; n <= to; n++) truth.set(n, time);
          record = advance(record, name(to), new Date(time));
          time += 60_000;
          at = to;
          if (to === 999) {
            record = { cursor: null, marks: record.marks };
            at = -1;
          }
        }
        expect(record.marks.length).toBeLessThanOrEqual(256);
        for (let n = 0; n < 1000; n++) {
          const known = verifiedAt(record, name(n))?.getTime() ?? -Infinity;
          expect(known).toBeLessThanOrEqual(truth.get(n) ?? -Infinity);
        }
      }),
      { numRuns: 50 },
    );
  });
});
