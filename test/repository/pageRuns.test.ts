import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chainData } from '../../lib/repository/chain.ts';
import { MapObjects, MapWriter, MemoryBlobStore, Page, type Ref } from '../../lib/repository/index.ts';
import { pageRuns } from '../../lib/repository/pageRuns.ts';
import { Lab } from '../datapath/lab.ts';
import { Dice } from './modelDice.ts';
import { flip, spoil } from './verifyLab.ts';

/** Counts reads, and what they bring. */
class CountingStore extends MemoryBlobStore {
  reads = 0;

  override read(...call: Parameters<MemoryBlobStore['read']>) {
    this.reads++;
    return super.read(...call);
  }
}

const object = { sequence: 1, disk: 0, shard: 0, attempt: 1 };
const PAGES = 1500;

/** A map object of more than 1 MiB: its pages are as scattered as can be. */
async function largeMap() {
  const data = new CountingStore('data');
  const lab = await Lab.start({ data });
  const writer = new MapWriter(lab.chain.keys.seal, lab.chain.id, object);
  const refs: Ref[] = [];
  const dice = new Dice(1);
  for (let number = 0; number < PAGES; number++) {
    const page = new Page(256);
    for (let i = 0; i < 256; i++)
      page.set(i, { pack: { ...object, number: i % 7 }, ordinal: dice.int(1_000_000) });
    writer.addPage(number, page);
    refs.push({ object, record: number, present: 256 });
  }
  const { bytes } = writer.finish();
  expect(bytes.length).toBeGreaterThan(1024 * 1024);
  await data.create(writer.name, bytes);
  return { lab, data, name: writer.name, refs };
}

describe('pages in runs', () => {
  test('every reference is in one run, ascending, and runs are short', () => {
    const ref = fc.record({
      object: fc.record({
        sequence: fc.integer({ min: 1, max: 3 }),
        disk: fc.constant(0),
        shard: fc.integer({ min: 0, max: 1 }),
        attempt: fc.constant(1),
      }),
      record: fc.integer({ min: 0, max: 400 }),
      present: fc.constant(1),
    });
    fc.assert(
      fc.property(fc.array(ref), (refs) => {
        const runs = pageRuns(refs);
        const key = (one: Ref) => `${one.object.sequence}/${one.object.shard}/${one.record}`;
        expect(runs.flatMap((run) => run.refs.map(key)).sort()).toEqual(refs.map(key).sort());
        for (const { refs: all, first, last } of runs) {
          const records = all.map(({ record }) => record);
          expect(records).toEqual(records.toSorted((a, b) => a - b));
          expect([records[0], records.at(-1)]).toEqual([first, last]);
          expect(last - first).toBeLessThan(128);
        }
      }),
    );
  });

  test('the pages of a large map object take a read for each 128, and are those that single reads give', async () => {
    const { lab, data, refs } = await largeMap();
    const maps = new MapObjects(chainData(lab.chain));
    await maps.directory(object);
    const before = data.reads;
    const pages: Page[] = [];
    for (const run of pageRuns(refs)) for (const page of await maps.pages(run)) pages.push(page());
    expect(data.reads - before).toBe(Math.ceil(PAGES / 128));
    for (const at of [0, 127, 128, 999, PAGES - 1]) {
      const single = await maps.page(refs[at] as Ref);
      expect(pages[at]?.encode().equals(single.encode())).toBe(true);
    }
  });

  test('a damaged page is the only one of its run that cannot be read', async () => {
    const { lab, data, name, refs } = await largeMap();
    await spoil(data, name, flip(100_000));
    const maps = new MapObjects(chainData(lab.chain));
    const errors: unknown[] = [];
    for (const run of pageRuns(refs)) {
      for (const page of await maps.pages(run)) {
        try {
          page();
        } catch (error) {
          errors.push(error);
        }
      }
    }
    expect(errors).toMatchObject([{ code: 'corruptObject', target: name }]);
  });
});
