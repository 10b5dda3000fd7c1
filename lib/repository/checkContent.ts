import { type HoldfastError, isHoldfastError } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { CODEC_RAW, expandBlock } from './blockCodec.ts';
import { blockDigest } from './blockDigest.ts';
import { type Chain, chainData } from './chain.ts';
import { corruptObject, decoding } from './damage.ts';
import type { SealingKey } from './keys.ts';
import type { ChainData } from './mapObjects.ts';
import type { PackAt } from './packGenerations.ts';
import { PackIndex } from './packIndex.ts';
import { RecordReader } from './recordObject.ts';
import { HEADER_BYTES, KIND, ObjectSeal } from './sealedObject.ts';

/** A pack is read whole while it is smaller: larger than any that is not in an archive chain. */
const WHOLE_BELOW = 64 * 1024 * 1024;

/** What it takes to look into a pack. */
type PackData = Pick<ChainData, 'id' | 'keys' | 'blockBytes' | 'data'>;

/** What looking at every block of one pack object brought. */
export interface PackExam {
  readonly name: string;
  /** The first damage; null: none. The blocks may all be readable although the pack is damaged (its own index). */
  readonly problem: HoldfastError | null;
  /** Ordinals that the object should hold and that cannot be read, ascending. */
  readonly bad: readonly number[];
  /** Blocks that were decoded. */
  readonly blocks: number;
  /** Bytes of the object; 0 when it is missing. */
  readonly bytes: number;
}

/**
 * Every block of a pack decrypts, expands and has the digest that its map object says; its own index says the same. Damage
 * is answered, not thrown; what the store fails with is thrown.
 */
export const examinePack = (chain: Chain, at: PackAt, signal?: AbortSignal): Promise<PackExam> =>
  examinePackOf(chainData(chain), at, signal);

/** The same, for who has no more than the chain's data. `space`: memory that the object may be read into. */
export async function examinePackOf(
  chain: PackData,
  at: PackAt,
  signal?: AbortSignal,
  space?: Buffer,
): Promise<PackExam> {
  const { keys, id, data } = chain;
  const { name, index } = at;
  const held = Array.from(index.lengths.keys()).filter(
    (i) => at.generation === 0 || (index.lengths[i] ?? 0) > 0,
  );
  let problem: HoldfastError | null = null;
  let read: (ordinal: number) => Promise<Buffer>;
  let bytes: number;
  try {
    const binding = { kind: KIND.pack, chain: id, name };
    const options = { wholeBelow: WHOLE_BELOW, signal, ...(space ? { space } : {}) };
    const reader = await RecordReader.open(data, keys.seal, binding, options);
    bytes = reader.size;
    read = (ordinal) => reader.record(ordinal, signal);
    const own = decoding(name, 'its index', () => PackIndex.fromPayload(reader.lengths(), reader.payload));
    if (!own.encode().equals(index.encode()))
      throw corruptObject(name, 'its index differs from the one in its map object');
  } catch (error) {
    problem = damageIn(error);
    // Blocks are found by the index in the map object: they may be whole although the pack's own index is not.
    const salvage = await salvageReader(chain, at, signal);
    if (!salvage) return { name, problem, bad: held, blocks: 0, bytes: 0 };
    ({ read, bytes } = salvage);
  }
  const bad: number[] = [];
  for (const ordinal of held) {
    try {
      const stored = await read(ordinal);
      examineBlock(chain, at, ordinal, stored, plainRoom(chain.blockBytes));
    } catch (error) {
      problem ??= damageIn(error);
      bad.push(ordinal);
    }
  }
  return { name, problem, bad, blocks: held.length - bad.length, bytes };
}

/** What a block is expanded to, used again by the next. */
let room = Buffer.alloc(0);

function plainRoom(blockBytes: number): Buffer {
  if (room.length !== blockBytes) room = Buffer.allocUnsafeSlow(blockBytes);
  return room;
}

/** Looks into packs of one chain: in this thread (`examinePack`), or in others. */
export interface PackExaminer {
  /** How many packs are worth asking about at once. */
  readonly atOnce: number;
  examine(at: PackAt, signal?: AbortSignal): Promise<PackExam>;
  /** Resolves when nothing goes on any more. */
  close(): Promise<void>;
}
export type OpenExaminer = (chain: Chain) => PackExaminer;

/** One pack is read while another is looked into. */
export const examineHere: OpenExaminer = (chain) => ({
  atOnce: 2,
  examine: (at, signal) => examinePack(chain, at, signal),
  close: () => Promise.resolve(),
});

/** The plain block: `into`, or fresh memory. */
function examineBlock(
  { keys, blockBytes }: Pick<PackData, 'keys' | 'blockBytes'>,
  { name, index }: PackAt,
  ordinal: number,
  stored: Buffer,
  into?: Buffer,
): Buffer {
  const codec = index.codecs[ordinal] ?? 0;
  const plain = decoding(name, `block ${ordinal}`, () =>
    expandBlock(codec, stored, blockBytes, codec === CODEC_RAW ? undefined : into),
  );
  if (!blockDigest(keys, plain).equals(index.digest(ordinal)))
    throw corruptObject(name, `block ${ordinal} has another digest`);
  return plain;
}

/** The stored bytes of one block, once they are known to be right; `corruptObject`, `missingObject`. */
export async function readStoredBlock(
  chain: Chain,
  at: PackAt,
  ordinal: number,
  signal?: AbortSignal,
): Promise<{ stored: Buffer; plain: Buffer }> {
  const salvage = await salvageReader(chainData(chain), at, signal);
  if (!salvage) throw corruptObject(at.name, 'it is missing or has no header');
  const stored = await salvage.read(ordinal);
  return { stored, plain: examineBlock(chain, at, ordinal, stored) };
}

/** Reads blocks by the index that is known from elsewhere, one by one; null when there is no object or no header. */
async function salvageReader(
  { data, keys, id }: PackData,
  { name, index }: PackAt,
  signal?: AbortSignal,
): Promise<{ read: (ordinal: number) => Promise<Buffer>; bytes: number } | null> {
  try {
    const { bytes: header, size } = await data.read(name, { offset: 0, length: HEADER_BYTES }, { signal });
    const seal = ObjectSeal.of(keys.seal, { kind: KIND.pack, chain: id, name }, header);
    return {
      bytes: size,
      read: async (ordinal) => {
        const extent = index.extent(ordinal);
        if (extent.offset + extent.length > size) throw corruptObject(name, 'it ends too early');
        const { bytes } = await data.read(name, extent, { signal });
        return seal.open(ordinal, bytes);
      },
    };
  } catch (error) {
    damageIn(error);
    return null;
  }
}

/** The error, if it tells of damage; anything else is thrown on. */
export function damageIn(error: unknown): HoldfastError {
  if (isHoldfastError(error, 'corruptObject') || isHoldfastError(error, 'missingObject')) return error;
  throw error;
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
