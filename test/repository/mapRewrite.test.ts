import { describe, expect, test } from 'vitest';
import { chainData } from '../../lib/repository/chain.ts';
import { isSparseMap } from '../../lib/repository/collect/mapRewrite.ts';
import { MapObjects, openPoint, pageRefs, planMapRewrite } from '../../lib/repository/index.ts';
import { mapName, parseMapName } from '../../lib/repository/names.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { CollectLab, HOUR } from './collectLab.ts';

/** Sectors of a page of 256 blocks of 4 KiB. */
const PAGE = 2048;

async function plan(lab: CollectLab, parent: number, sequence = parent + 1): Promise<number[]> {
  const { map } = await (await openPoint(lab.chain, parent)).disk(0);
  const maps = new MapObjects(chainData(lab.chain));
  return [...(await planMapRewrite({ parent: map, maps, sequence }))].sort((a, b) => a - b);
}

/** Which pages of a point lie in which map object, by the number that wrote it. */
async function pagesBySequence(lab: CollectLab, point: number): Promise<Map<number, number[]>> {
  const { map } = await (await openPoint(lab.chain, point)).disk(0);
  const found = new Map<number, number[]>();
  for await (const { page, ref } of pageRefs(map))
    found.set(ref.object.sequence, [...(found.get(ref.object.sequence) ?? []), page]);
  return found;
}

describe('pages that the next backup writes anew', () => {
  test('less than a quarter of the pages, and no pack that keeps the object', () => {
    expect(isSparseMap({ pages: 8, livePages: 1, holdsPacks: false })).toBe(true);
    expect(isSparseMap({ pages: 8, livePages: 2, holdsPacks: false })).toBe(false);
    expect(isSparseMap({ pages: 8, livePages: 1, holdsPacks: true })).toBe(false);
    expect(isSparseMap({ pages: 8, livePages: 0, holdsPacks: false })).toBe(false);
  });

  test('are those of the parent that lie in such objects, and the object goes with the older points', async () => {
    const lab = await CollectLab.start(4096, 64 * 1024 * 1024);
    const disk = new ModelDisk('os', PAGE * 10);
    for (let page = 0; page < 10; page++) disk.write(page * PAGE, 16, 3);
    await lab.lab.backup([disk]);
    // All pages again: their packs keep some blocks of point 1 alive.
    for (let page = 0; page < 10; page++) disk.discard(page * PAGE, 8);
    await lab.lab.backup([disk]);
    for (let page = 0; page < 9; page++) disk.write(page * PAGE + 8, 16, 7);
    await lab.lab.backup([disk]);
    await lab.remove(1);
    await lab.remove(2);
    // Point 2 wrote ten pages and no pack; of these, point 3 needs page 9 only.
    expect(await plan(lab, 3)).toEqual([9]);
    // Nothing changed on the disk: page 9 is all that point 4 writes.
    const { moves, plans } = await lab.lab.backup([disk]);
    expect(plans.map(({ plannedBytes, shards }) => [plannedBytes, shards.map(({ pages }) => pages)])).toEqual(
      [[0, [1]]],
    );
    expect(moves).toMatchObject([{ readBytes: 0, packs: 0 }]);
    expect(await pagesBySequence(lab, 4)).toEqual(
      new Map([
        [3, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
        [4, [9]],
      ]),
    );
    await lab.remove(3);
    lab.time.advance(25 * HOUR);
    await lab.collect();
    const maps = (await lab.names('data', '.map')).map((name) => parseMapName(name)?.sequence);
    expect(maps).not.toContain(2);
    await lab.mustHold();
    expect((await lab.check()).findings).toEqual([]);
  });

  test('a damaged map object is left to whoever verifies', async () => {
    const lab = await CollectLab.start(4096, 64 * 1024 * 1024);
    const disk = new ModelDisk('os', PAGE * 10);
    for (let page = 0; page < 10; page++) disk.write(page * PAGE, 16, 3);
    await lab.lab.backup([disk]);
    for (let page = 0; page < 10; page++) disk.discard(page * PAGE, 8);
    await lab.lab.backup([disk]);
    for (let page = 0; page < 9; page++) disk.write(page * PAGE + 8, 16, 7);
    await lab.lab.backup([disk]);
    expect(await plan(lab, 3)).toEqual([9]);
    await lab.lab.data.remove(mapName(lab.chain.id, { sequence: 2, disk: 0, shard: 0, attempt: 1 }));
    expect(await plan(lab, 3)).toEqual([]);
  });

  test('a long chain of scattered changes keeps few map objects, without much that is dead in them', async () => {
    const PAGES = 32;
    const lab = await CollectLab.start(4096, 64 * 1024 * 1024);
    const disk = new ModelDisk('os', PAGE * PAGES);
    for (let page = 0; page < PAGES; page++) disk.write(page * PAGE, 8 * 40, 3);
    await lab.lab.backup([disk]);
    let seed = 1;
    const random = (below: number) => ((seed = (Math.imul(seed, 48271) + 12345) >>> 0) >>> 8) % below;
    const rewrites: number[] = [];
    for (let run = 2; run <= 50; run++) {
      // The guest trims here and there: pages change, and no pack is written.
      for (let i = 0; i < 6; i++) disk.discard(random(PAGES) * PAGE + random(39) * 8, 8);
      rewrites.push((await plan(lab, run - 1, run)).length);
      await lab.lab.backup([disk], { random: () => 0.5 });
      if (run > 3) await lab.remove(run - 2);
      if (run % 10 === 0) {
        lab.time.advance(25 * HOUR);
        await lab.collect();
        await lab.collect();
        await lab.mustHold();
      }
    }
    expect(rewrites.filter((pages) => pages > 0).length).toBeGreaterThan(10);
    // A night without changes: then each object that the newest point needs for its pages is needed for a quarter of them.
    await lab.lab.backup([disk]);
    const live = await pagesBySequence(lab, 51);
    const maps = new MapObjects(chainData(lab.chain));
    let written = 0;
    for (const [sequence, pages] of live) {
      const { pages: all, packs } = await maps.directory({ sequence, disk: 0, shard: 0, attempt: 1 });
      if (packs.length > 0) continue;
      written += all.length;
      expect(pages.length * 4, `object of ${sequence}`).toBeGreaterThanOrEqual(all.length);
    }
    expect(written).toBeLessThanOrEqual(PAGES * 4);
    // 51 runs; three points of them are left.
    expect((await lab.names('data', '.map')).length).toBeLessThan(25);
    expect((await lab.check()).findings).toEqual([]);
  });
});
