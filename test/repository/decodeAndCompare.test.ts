import { expect, test, vi } from 'vitest';
import { blockDigest, PackWriter, packSpace } from '../../lib/repository/index.ts';
import { deriveKeys } from '../../lib/repository/keys.ts';

let spoilt = 0;
// A codec that is wrong about one block, as real ones have been.
vi.mock(import('../../lib/repository/blockCodec.ts'), async (load) => {
  const real = await load();
  return {
    ...real,
    compressBlock: (block: Buffer) => {
      if (block[0] !== 13) return real.compressBlock(block);
      spoilt++;
      return real.compressBlock(Buffer.concat([block.subarray(0, -1), Buffer.from([1])]));
    },
  };
});

const keys = deriveKeys(Buffer.alloc(32, 1), '00000000-0000-4000-8000-00000000000a').chain('c');
const id = { sequence: 1, disk: 0, shard: 0, attempt: 1, number: 0 };
const add = (compare: boolean, first: number) => {
  const block = Buffer.alloc(4096, 7);
  block[0] = first;
  const pack = new PackWriter(keys, 'c', id, { compare, space: packSpace(4096) });
  return pack.add(block, blockDigest(keys, block));
};

test('a block that does not decode to its source is refused before anything is stored', () => {
  expect(add(true, 12)).toBe(0);
  expect(() => add(true, 13)).toThrow(
    expect.objectContaining({ code: 'corruptObject', target: expect.stringContaining('.pack') as string }),
  );
  expect(spoilt).toBe(1);
  // Without the comparison it goes unnoticed here, and is found by its digest when it is read.
  expect(add(false, 13)).toBe(0);
});
