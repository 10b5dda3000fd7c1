import { isHoldfastError, systemClock } from '../../model/index.ts';
import { expandBlock } from '../blockCodec.ts';
import { blockDigest } from '../blockDigest.ts';
import { type Chain, chainData } from '../chain.ts';
import { createOnce } from '../createOnce.ts';
import { corruptObject, decoding } from '../damage.ts';
import { MapObjects } from '../mapObjects.ts';
import { generationName, parsePackName } from '../names.ts';
import { holds, type PackAt, PackGenerations } from '../packGenerations.ts';
import { RecordReader, RecordWriter } from '../recordObject.ts';
import { KIND } from '../sealedObject.ts';
import type { ExecuteOptions } from './collect.ts';
import type { CompactionPlan, PackToCompact } from './compactionPlan.ts';
import { Fence } from './fence.ts';
import type { Damaged } from './plan.ts';

export interface Compacted {
  /** Packs that have a new generation, and the bytes that a later collection will free. */
  readonly compacted: number;
  readonly freedLater: number;
  readonly writtenBytes: number;
  /** Packs that were left: gone, or compacted by somebody else. */
  readonly left: number;
  /** Packs that cannot be read as they should: left as they are. */
  readonly damage: readonly Damaged[];
  readonly next: number | null;
}

/** A pack is read whole. */
const WHOLE_BELOW = 64 * 1024 * 1024;

/**
 * Writes a next generation of each pack of the plan: the blocks that are kept, each opened, expanded and compared with its
 * digest on the way. Removes nothing: lower generations go in a later collection, 24 hours after. May be called again, late,
 * and by two at once. Memory: one pack, twice.
 */
export async function compact(
  chain: Chain,
  plan: CompactionPlan,
  options: ExecuteOptions,
): Promise<Compacted> {
  const { installation, by = 'compaction', from = 0, budgetMs = Infinity, signal } = options;
  const clock = options.clock ?? systemClock;
  const end = clock.now().getTime() + budgetMs;
  const result = { compacted: 0, freedLater: 0, writtenBytes: 0, left: 0 };
  const damage: Damaged[] = [];
  let next = from;
  if (next >= plan.packs.length) return { ...result, damage, next: null };
  const fence = await Fence.enter(chain, plan, { installation, by });
  try {
    for (; next < plan.packs.length && clock.now().getTime() < end; next++) {
      signal?.throwIfAborted();
      const pack = plan.packs[next] as PackToCompact;
      await fence.check();
      try {
        const written = await compactPack(chain, pack, signal);
        if (written === null) result.left++;
        else {
          result.compacted++;
          result.writtenBytes += written;
          result.freedLater += pack.bytesBefore;
        }
      } catch (error) {
        if (!isHoldfastError(error, 'corruptObject')) throw error;
        damage.push({ object: error.target ?? pack.pack, problem: error.message });
      }
    }
  } finally {
    // An abandoned lease ends by itself; its removal must not hide what went wrong.
    await fence.leave().catch(() => undefined);
  }
  return { ...result, damage, next: next < plan.packs.length ? next : null };
}

/** Bytes written; null when the pack is gone, or somebody else was there. Harmless however late it comes. */
export async function compactPack(
  chain: Chain,
  { pack, from, to, kept }: PackToCompact,
  signal?: AbortSignal,
): Promise<number | null> {
  const id = parsePackName(pack)?.id;
  if (!id) throw corruptObject(pack, 'it is not the name of a pack');
  const data = chainData(chain);
  try {
    const source = await new PackGenerations(data, new MapObjects(data)).open(id, from, signal);
    const name = generationName(chain.id, id, to);
    const bytes = await rewrite(chain, source, name, Buffer.from(kept, 'base64'), signal);
    return (await createOnce(data.data, name, bytes, signal)) === 'created' ? bytes.length : null;
  } catch (error) {
    if (isHoldfastError(error, 'missingObject')) return null;
    throw error;
  }
}

/** The same ordinals and the same index payload; a block that is left out is an empty record. */
async function rewrite(
  { id: chain, keys, repository, blockBytes }: Chain,
  source: PackAt,
  name: string,
  kept: Buffer,
  signal?: AbortSignal,
): Promise<Buffer> {
  const binding = { kind: KIND.pack, chain, name: source.name };
  const reader = await RecordReader.open(repository.data, keys.seal, binding, {
    wholeBelow: WHOLE_BELOW,
    signal,
  });
  const writer = new RecordWriter(keys.seal, { kind: KIND.pack, chain, name });
  const { index } = source;
  if (reader.records !== index.blocks)
    throw corruptObject(source.name, 'it has another number of blocks than its map object says');
  for (let ordinal = 0; ordinal < index.blocks; ordinal++) {
    const keep = ((kept[ordinal >> 3] ?? 0) & (1 << (ordinal & 7))) !== 0;
    if (!keep) {
      writer.append(Buffer.alloc(0));
      continue;
    }
    if (!holds(source, ordinal)) throw corruptObject(source.name, `it does not hold block ${ordinal}`);
    const stored = await reader.record(ordinal, signal);
    const codec = index.codecs[ordinal] ?? 0;
    const plain = decoding(source.name, `block ${ordinal}`, () => expandBlock(codec, stored, blockBytes));
    if (!blockDigest(keys, plain).equals(index.digest(ordinal)))
      throw corruptObject(source.name, `block ${ordinal} has another digest`);
    if (!writer.reopen(writer.append(stored)).equals(stored))
      throw corruptObject(name, `block ${ordinal} does not open to its source; nothing was stored`);
  }
  return writer.finish(index.payload()).bytes;
}
