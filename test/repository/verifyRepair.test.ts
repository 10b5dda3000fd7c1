import { beforeEach, describe, expect, test } from 'vitest';
import {
  assessChain,
  checkRepository,
  healChain,
  readPointState,
  rereadOf,
  verifyRepository,
} from '../../lib/repository/index.ts';
import { Lab } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { damagedCopy, flip, packNames, places, spoil, TestClock } from './verifyLab.ts';

const clock = new TestClock();
let lab: Lab;
let disk: ModelDisk;

beforeEach(async () => {
  lab = await Lab.start({ shardBytes: 48 * 1024, blockBytes: 4096 });
  disk = new ModelDisk('os', 4200);
  disk.write(0, 200, 3);
  disk.write(2100, 60, 4);
  await lab.backup([disk]);
  // Block 2 is overwritten: what point 1 holds there is on no disk any more.
  disk.write(16, 8, 9);
  await lab.backup([disk]);
});

const verify = (of = lab) => verifyRepository(of.chain.repository, { depth: 'content', clock });
const restores = (sequence: number) =>
  lab.mustRestore(sequence).then(
    () => true,
    () => false,
  );

/** The pack that holds the first blocks of point 1. */
const firstPack = async (): Promise<string> =>
  (await places(lab)).find(({ block }) => block === 0)?.pack ?? '';

describe('repair', () => {
  test.each([
    ['missing', () => null],
    ['damaged all over', (bytes: Buffer) => bytes.fill(7, 40, bytes.length - 400)],
    ['damaged in its header', flip(12)],
  ] as const)(
    'a pack that is %s: the next backup reads its blocks again, and older points are healed',
    async (_, change) => {
      const pack = await firstPack();
      const inPack = (await places(lab)).filter((place) => place.pack === pack);
      await spoil(lab.data, pack, change);
      const { damaged } = await verify();
      expect(damaged.map(({ sequence }) => sequence)).toEqual([1, 2]);
      const reread = await rereadOf(lab.chain, 2);
      const needed = inPack.filter(({ sequence }) => sequence === 2).map(({ block }) => block);
      expect([...(reread.get(0) ?? [])].reduce((sum, [, count]) => sum + count, 0)).toBe(needed.length);

      // Tracking calls everything unchanged.
      const { sources, point, moves } = await lab.backup([disk]);
      expect(point.restorePoint.disks[0]?.readReason).toBe('changedBlocks');
      const read = new Set(
        sources
          .flatMap(({ reads }) => reads)
          .flatMap(({ offset, length }) => {
            const blocks: number[] = [];
            for (let at = offset; at < offset + length; at += 4096) blocks.push(Math.floor(at / 4096));
            return blocks;
          }),
      );
      for (const block of needed) expect(read.has(block), `block ${block}`).toBe(true);
      expect(moves.reduce((sum, move) => sum + move.blocksStored, 0)).toBe(needed.length);
      expect(moves.reduce((sum, move) => sum + move.blocksReused, 0)).toBe(0);
      expect(await restores(3)).toBe(true);
      expect((await places(lab)).filter((place) => place.sequence === 3 && place.pack === pack)).toEqual([]);
      expect([await restores(1), await restores(2)]).toEqual([false, false]);

      const healed = await healChain(lab.chain, { now: clock.now() });
      expect(healed.written).toEqual([pack.replace('.pack', '.g1.pack')]);
      expect(healed.blocks).toBe(needed.length);
      expect(healed.healed).toEqual([2]);
      expect([await restores(1), await restores(2), await restores(3)]).toEqual([false, true, true]);
      // Point 1 had another block 2, which is lost, and says so.
      expect((await readPointState(lab.chain, 1))?.damage).toMatchObject([
        { disk: 0, blocks: 1, ranges: [[2, 1]] },
      ]);
      const again = await healChain(lab.chain, { now: clock.now() });
      expect(again.written).toEqual([]);
      expect(again.damaged.map(({ sequence }) => sequence)).toEqual([1]);
      expect((await verify()).damaged.map(({ sequence }) => sequence)).toEqual([1]);
    },
  );

  test('one damaged block: only that is read again, and everything is healed; collection may then drop the damaged pack', async () => {
    const pack = await firstPack();
    await spoil(lab.data, pack, flip(41));
    await verify();
    const { moves } = await lab.backup([disk]);
    expect(moves.reduce((sum, move) => sum + move.blocksStored, 0)).toBe(1);
    const { healed, damaged } = await healChain(lab.chain, { now: clock.now() });
    expect([healed, damaged]).toEqual([[1, 2], []]);
    for (const sequence of [1, 2, 3]) expect(await restores(sequence)).toBe(true);
    const { findings } = await checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content' });
    expect(findings).toEqual([]);
    await lab.data.remove(pack);
    await lab.reopen();
    for (const sequence of [1, 2, 3]) expect(await restores(sequence)).toBe(true);
    const after = await checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content' });
    expect(after.findings).toEqual([]);
  });

  test('a whole read does not take over what is damaged, though its digest is the same', async () => {
    const pack = await firstPack();
    await spoil(lab.data, pack, () => null);
    await verify();
    await lab.backup([disk], { reason: 'scheduled' });
    expect(await restores(3)).toBe(true);
    expect((await places(lab)).filter((place) => place.sequence === 3 && place.pack === pack)).toEqual([]);
  });

  test('what the guest cleared meanwhile is not read for it', async () => {
    const pack = await firstPack();
    await spoil(lab.data, pack, () => null);
    await verify();
    disk.discard(0, 200);
    const { moves } = await lab.backup([disk]);
    expect(moves.reduce((sum, move) => sum + move.readBytes, 0)).toBeLessThanOrEqual(4096);
    expect(await restores(3)).toBe(true);
  });

  test('a sound chain is healed by doing nothing', async () => {
    const before = await packNames(lab);
    expect(await healChain(lab.chain, { now: clock.now() })).toMatchObject({
      written: [],
      damaged: [],
      findings: [],
    });
    expect(await packNames(lab)).toEqual(before);
  });
});

describe('whether a chain can be built upon', () => {
  const assess = (of: Lab) => assessChain(of.chain.repository, of.chain.id);

  test('a sound chain, and one with a damaged pack: yes', async () => {
    expect(await assess(lab)).toBe('sound');
    await spoil(lab.data, await firstPack(), () => null);
    expect(await assess(lab)).toBe('sound');
  });

  test('damaged metadata that the newest point or the chain needs: no, and it is named', async () => {
    const refused: string[] = [];
    for (const where of ['meta', 'data'] as const) {
      for await (const { name, size } of lab[where].list('chains/')) {
        if (/\.(pack|session)$/.test(name)) continue;
        const copy = await damagedCopy(lab);
        await spoil(copy[where], name, flip(Math.min(60, size - 1)));
        const assessment = await assess(copy);
        if (assessment === 'sound') {
          // Nothing that the next backup needs: it works.
          await copy.backup([disk]);
          await copy.mustRestore(3);
          continue;
        }
        expect(assessment.damaged.map(({ object }) => object)).toEqual([name]);
        refused.push(name.replace(/^.*\//, ''));
      }
    }
    expect(refused).toEqual(
      expect.arrayContaining(['chain', '00000001.manifest', '00000002.manifest', '00000002.0000-001.tree']),
    );
    expect(refused.some((name) => name.endsWith('.map'))).toBe(true);
  });
});
