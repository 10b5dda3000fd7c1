import fc from 'fast-check';
import { expect, test } from 'vitest';
import { highestSequence, prefixesAbove } from '../../lib/repository/highestSequence.ts';
import { claimSequence, MemoryBlobStore, packName } from '../../lib/repository/index.ts';
import { claimName, mapName, treeName } from '../../lib/repository/names.ts';
import { Lab } from '../datapath/lab.ts';

/** Counts the names that listings give. */
class CountingStore extends MemoryBlobStore {
  listed = 0;

  override async *list(...call: Parameters<MemoryBlobStore['list']>) {
    for await (const found of super.list(...call)) {
      this.listed++;
      yield found;
    }
  }
}

test('what a higher number begins with: all of those, and no other', () => {
  const number = fc.integer({ min: 0, max: 99_999_999 });
  fc.assert(
    fc.property(number, number, (known, other) => {
      const digits = String(other).padStart(8, '0');
      const matching = prefixesAbove(known).filter((prefix) => digits.startsWith(prefix));
      expect(matching.length).toBe(other > known ? 1 : 0);
    }),
  );
});

test('the highest number is that of all names, however many there are and wherever it is', async () => {
  const sequence = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 99_999_999 }));
  const object = fc.record({ sequence, kind: fc.constantFrom('claim', 'tree', 'map', 'pack') });
  await fc.assert(
    fc.asyncProperty(
      fc.array(object, { maxLength: 12 }),
      fc.integer({ min: 1, max: 14 }),
      async (objects, listed) => {
        const lab = await Lab.start({ unlock: { mode: 'none' } });
        const { id } = lab.chain;
        const place = { disk: 0, shard: 0, attempt: 1 };
        for (const { sequence: number, kind } of objects) {
          const at = { sequence: number, ...place };
          const store = kind === 'claim' || kind === 'tree' ? lab.meta : lab.data;
          const name =
            kind === 'claim'
              ? claimName(id, number)
              : kind === 'tree'
                ? treeName(id, at)
                : kind === 'map'
                  ? mapName(id, at)
                  : packName(id, { ...at, number: 3 });
          if (!(await store.stat(name))) await store.create(name, Buffer.alloc(1));
        }
        const wanted = Math.max(0, ...objects.map((one) => one.sequence));
        expect(await highestSequence(lab.chain, listed)).toBe(wanted);
      },
    ),
    { numRuns: 60 },
  );
});

test('taking a number of a chain of very many packs does not list them all', async () => {
  const data = new CountingStore('data');
  const lab = await Lab.start({ unlock: { mode: 'none' }, data });
  const packs = 60_000;
  for (let number = 0; number < packs; number++) {
    const id = { sequence: 1 + (number % 40), disk: 0, shard: 0, attempt: 1, number };
    await data.create(packName(lab.chain.id, id), Buffer.alloc(0));
  }
  const claim = await claimSequence(lab.chain, {
    installation: 'lab',
    session: 'one',
    epoch: 1,
    parent: null,
  });
  expect(claim.sequence).toBe(41);
  expect(data.listed).toBeLessThan(packs);
});
