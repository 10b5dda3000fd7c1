import type { BlobStore } from './blobStore.ts';
import { expandBlock } from './blockCodec.ts';
import { blockDigest } from './blockDigest.ts';
import type { Chain } from './chain.ts';
import { corruptObject, decoding } from './damage.ts';
import type { SealingKey } from './keys.ts';
import { PackIndex } from './packIndex.ts';
import { RecordReader } from './recordObject.ts';
import { KIND } from './sealedObject.ts';

/** A pack is read whole while it is smaller: larger than any that is not in an archive chain. */
const WHOLE_BELOW = 64 * 1024 * 1024;

/** Every block of a pack decrypts, expands and has the digest that its map object says; its own index says the same. Returns the blocks. */
export async function checkPackContent(
  chain: Chain,
  name: string,
  index: PackIndex,
  signal?: AbortSignal,
): Promise<number> {
  const { keys, id, blockBytes, repository } = chain;
  const binding = { kind: KIND.pack, chain: id, name };
  const reader = await RecordReader.open(repository.data, keys.seal, binding, {
    wholeBelow: WHOLE_BELOW,
    signal,
  });
  const own = decoding(name, 'its index', () => PackIndex.fromPayload(reader.lengths(), reader.payload));
  if (!own.encode().equals(index.encode()))
    throw corruptObject(name, 'its index differs from the one in its map object');
  for (let ordinal = 0; ordinal < index.blocks; ordinal++) {
    const stored = await reader.record(ordinal, signal);
    const plain = decoding(name, `block ${ordinal}`, () =>
      expandBlock(index.codecs[ordinal] ?? 0, stored, blockBytes),
    );
    if (!blockDigest(keys, plain).equals(index.digest(ordinal)))
      throw corruptObject(name, `block ${ordinal} has another digest`);
  }
  return index.blocks;
}

/** Every record of a tree or map object is authentic, also those that nothing refers to any more. */
export async function checkRecords(
  store: BlobStore,
  key: SealingKey,
  kind: 'tree' | 'map',
  chain: string,
  name: string,
  signal?: AbortSignal,
): Promise<void> {
  const binding = { kind: KIND[kind], chain, name };
  const reader = await RecordReader.open(store, key, binding, { wholeBelow: WHOLE_BELOW, signal });
  for (let record = 0; record < reader.records; record++) await reader.record(record, signal);
}
