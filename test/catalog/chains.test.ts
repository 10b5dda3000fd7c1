import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryCatalog } from '../../lib/catalog/catalog.ts';
import { chainIdFor } from '../../lib/model/index.ts';
import { MACHINE, sessionIds, TestClock } from './support.ts';

const key = { repositoryId: 'repo', machineId: MACHINE };
const [a = '', b = '', c = ''] = sessionIds(3);
const holder = (sessionId: string, instanceId = `run-${sessionId}`) => ({ sessionId, instanceId });
const live = () => Promise.resolve(true);
const dead = () => Promise.resolve(false);
const head = (sequence: number, tag = `tag${sequence}`) => ({ sequence, tag });

const open = () => memoryCatalog(new TestClock()).chains;

describe('chains', () => {
  it('the first session founds the chain, and its second try finds it', async () => {
    const chains = open();
    const first = await chains.take(key, holder(a), live);
    expect(first).toMatchObject({
      taken: true,
      chain: { epoch: 1, chainId: chainIdFor(a, MACHINE), head: null },
    });
    expect(await chains.take(key, holder(a), live)).toEqual(first);
  });

  it('a chain of a live session is not taken, one of a dead session is, under the next epoch', async () => {
    const chains = open();
    await chains.take(key, holder(a), live);
    expect(await chains.take(key, holder(b), live)).toEqual({ taken: false, holder: holder(a) });
    const over = await chains.take(key, holder(b), dead);
    expect(over).toMatchObject({
      taken: true,
      chain: { epoch: 2, holder: holder(b), chainId: chainIdFor(a, MACHINE) },
    });
  });

  it('the same session in another instance is another holder', async () => {
    const chains = open();
    await chains.take(key, holder(a, 'one'), live);
    expect(await chains.take(key, holder(a, 'two'), live)).toMatchObject({ taken: false });
    expect(await chains.take(key, holder(a, 'two'), dead)).toMatchObject({
      taken: true,
      chain: { epoch: 2 },
    });
  });

  it('who lost the chain can neither release it nor move its head', async () => {
    const chains = open();
    await chains.take(key, holder(a), live);
    await chains.take(key, holder(b), dead);
    expect(await chains.release(key, { sessionId: a, epoch: 1 })).toBe(false);
    expect(await chains.release(key, { sessionId: b, epoch: 1 })).toBe(false);
    await expect(chains.advance(key, { sessionId: a, epoch: 1 }, head(1), {})).rejects.toMatchObject({
      code: 'notOwner',
    });
    expect((await chains.get(key))?.holder).toEqual(holder(b));
    expect(await chains.release(key, { sessionId: b, epoch: 2 })).toBe(true);
    expect(await chains.release(key, { sessionId: b, epoch: 2 })).toBe(false);
    expect(await chains.take(key, holder(c), live)).toMatchObject({ taken: true, chain: { epoch: 3 } });
  });

  it('a head never goes back, and keeps the bases of the newest', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), async (sequences) => {
        const chains = open();
        await chains.take(key, holder(a), live);
        for (const sequence of sequences) {
          const bases = { disk: { snapshotId: `/Snap/${sequence}`, familyId: 'f' } };
          await chains.advance(key, { sessionId: a, epoch: 1 }, head(sequence), bases);
        }
        const newest = Math.max(...sequences);
        expect((await chains.get(key))?.head).toEqual(head(newest));
        expect([...(await chains.protectedSnapshots())]).toEqual([`/snap/${newest}`]);
      }),
    );
  });

  it('another manifest under the head’s number is a repository that was altered', async () => {
    const chains = open();
    await chains.take(key, holder(a), live);
    const owner = { sessionId: a, epoch: 1 };
    await chains.advance(key, owner, head(3), {});
    await chains.advance(key, owner, head(3), {});
    await expect(chains.advance(key, owner, head(3, 'other'), {})).rejects.toMatchObject({
      code: 'repositoryMismatch',
    });
  });

  it('of many that take a free chain at once, one gets it', async () => {
    const chains = open();
    await chains.adopt(key, chainIdFor(a, MACHINE));
    const answers = await Promise.all(sessionIds(8).map((id) => chains.take(key, holder(id), live)));
    expect(answers.filter(({ taken }) => taken)).toHaveLength(1);
    expect((await chains.get(key))?.epoch).toBe(1);
  });

  it('a new chain keeps the machine’s row, its epoch and its holder', async () => {
    const chains = open();
    await chains.take(key, holder(a), live);
    await chains.advance(key, { sessionId: a, epoch: 1 }, head(2), {});
    await chains.release(key, { sessionId: a, epoch: 1 });
    await chains.take(key, holder(b), live);
    const owner = { sessionId: b, epoch: 2 };
    const restarted = await chains.restart(key, owner);
    expect(restarted).toMatchObject({
      chainId: chainIdFor(b, MACHINE),
      head: null,
      bases: {},
      holder: holder(b),
    });
    expect(await chains.restart(key, owner)).toEqual(restarted);
  });
});
