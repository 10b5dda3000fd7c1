import { compressBlock } from '../blockCodec.ts';
import { blocksOf } from '../blockMap.ts';
import { BlockReader } from '../blockReader.ts';
import { type Chain, chainData, NODE_PAGES } from '../chain.ts';
import { damageIn, examinePack, readStoredBlock } from '../checkContent.ts';
import { createOnce } from '../createOnce.ts';
import { MapObjects } from '../mapObjects.ts';
import { generationName } from '../names.ts';
import { openPoint } from '../openPoint.ts';
import { MAX_GENERATIONS, type PackAt, PackGenerations } from '../packGenerations.ts';
import { RecordWriter } from '../recordObject.ts';
import { KIND } from '../sealedObject.ts';
import { type BadPack, laterGenerations } from './badPacks.ts';
import type { LostBlock } from './damageWalk.ts';
import { lostBlocks, type MarkDamage, type MarkedDamage, markDamage } from './markDamage.ts';

export interface HealChain extends MarkDamage {
  /** Later generations that were found damaged (`spoiled` of a verification): they are replaced too. */
  readonly spoiled?: Iterable<string> | undefined;
}

export interface Healed extends MarkedDamage {
  /** Generations that were written. */
  readonly written: readonly string[];
  /** Blocks of packs that can be read again. */
  readonly blocks: number;
}

/**
 * Heals older points after a backup has read the damaged blocks again: where the newest point holds, at the place of a lost
 * block, a block of the same digest, the lost one's pack is written anew as its next generation, with all of its blocks that
 * any generation of it holds or that are recovered, under the same ordinals. A later generation that is damaged is replaced in
 * the same way, also where nothing is lost because an earlier one is there: else it would be in the way of compaction for
 * good. Then the states are brought up to date. What the guest overwrote since cannot be recovered. The damaged generation
 * stays until collection removes it as it does any lower one. May be called again, and by two at once: the one that comes
 * second writes a further generation with the same blocks.
 */
export async function healChain(chain: Chain, { spoiled = [], ...options }: HealChain): Promise<Healed> {
  const { signal } = options;
  const { packs, lost, newest } = await lostBlocks(chain, spoiled, signal);
  const written: string[] = [];
  let blocks = 0;
  if (newest !== null && packs.size > 0) {
    const source = await NewestBlocks.open(chain, newest);
    for (const [name, bad] of packs) {
      const again = await recover(source, name, bad, lost, signal);
      if (again.size === 0 && bad.highest === 0) continue;
      const generation = await writeGeneration(chain, bad, again, signal);
      if (generation === null) continue;
      written.push(generation.name);
      blocks += generation.gained;
    }
  }
  return { written, blocks, ...(await markDamage(chain, [], options)) };
}

/** Plain blocks for lost ordinals, out of the newest point. At most one pack of them is in memory. */
async function recover(
  source: NewestBlocks,
  name: string,
  { pack, ordinals }: BadPack,
  lost: ReadonlyMap<string, LostBlock>,
  signal?: AbortSignal,
): Promise<Map<number, Buffer>> {
  const again = new Map<number, Buffer>();
  for (const ordinal of ordinals ?? []) {
    const place = lost.get(`${name} ${ordinal}`);
    if (!place) continue;
    const digest = (await source.maps.packIndex(pack, signal)).digest(ordinal);
    const plain = await source.block(place, digest, signal);
    if (plain) again.set(ordinal, plain);
  }
  return again;
}

/** Blocks of the newest point by disk and number. */
class NewestBlocks {
  readonly maps: MapObjects;
  readonly #reader: BlockReader;
  readonly #point: Awaited<ReturnType<typeof openPoint>>;

  private constructor(chain: Chain, point: Awaited<ReturnType<typeof openPoint>>) {
    this.maps = new MapObjects(chainData(chain));
    this.#reader = new BlockReader(chainData(chain), this.maps);
    this.#point = point;
  }

  static async open(chain: Chain, sequence: number): Promise<NewestBlocks> {
    return new NewestBlocks(chain, await openPoint(chain, sequence));
  }

  /** The block at this place, if it has this digest and can be read. */
  async block({ disk, block }: LostBlock, digest: Buffer, signal?: AbortSignal): Promise<Buffer | null> {
    if (!this.#point.manifest.disks.some(({ number }) => number === disk)) return null;
    try {
      const { map } = await this.#point.disk(disk, signal);
      if (block >= blocksOf(map)) return null;
      const page = Math.floor(block / map.pageBlocks);
      const ref = (await map.node(Math.floor(page / NODE_PAGES), signal))[page % NODE_PAGES];
      const content = ref ? await this.maps.page(ref, signal) : null;
      const found = content?.get(block % map.pageBlocks);
      if (!content || !found) return null;
      if (!(await this.maps.packIndex(found.pack, signal)).digest(found.ordinal).equals(digest)) return null;
      return await this.#reader.block(content, block % map.pageBlocks, signal);
    } catch (error) {
      // It may be the very pack that is lost.
      damageIn(error);
      return null;
    }
  }
}

/**
 * Writes the next generation of a pack, with every block that can be had; null when readers would gain nothing by it and the
 * highest generation is sound.
 */
async function writeGeneration(
  chain: Chain,
  { pack }: BadPack,
  again: ReadonlyMap<number, Buffer>,
  signal?: AbortSignal,
): Promise<{ name: string; gained: number } | null> {
  const { data } = chain.repository;
  const generations = new PackGenerations(chainData(chain), new MapObjects(chainData(chain)));
  const first = await generations.open(pack, 0, signal);
  const { lengths, codecs } = first.index;
  const later = await laterGenerations(chain, pack, signal);
  const highest = later.at(-1) ?? 0;
  const there: Examined[] = [];
  for (const generation of [0, ...later]) {
    try {
      there.push(await examined(chain, await generations.open(pack, generation, signal), signal));
    } catch (error) {
      // Its index is damaged: nothing of it can be found.
      damageIn(error);
    }
  }
  const asked = there.filter(({ at }) => at.generation === 0 || at.generation === highest);
  const spoiled = highest > 0 && !there.some(({ at, sound }) => at.generation === highest && sound);
  for (let generation = highest + 1; generation <= MAX_GENERATIONS; generation++) {
    const name = generationName(chain.id, pack, generation);
    const writer = new RecordWriter(chain.keys.seal, { kind: KIND.pack, chain: chain.id, name });
    let gained = 0;
    let held = 0;
    for (let ordinal = 0; ordinal < lengths.length; ordinal++) {
      const kept = there.findLast(({ good }) => good.has(ordinal));
      let stored = kept ? (await readStoredBlock(chain, kept.at, ordinal, signal)).stored : null;
      const plain = again.get(ordinal);
      if (!stored && plain) {
        const packed = compressBlock(plain);
        // A generation has the codecs and lengths of the first: another version of the codec may not give them.
        if (packed.codec === codecs[ordinal] && packed.stored.length === lengths[ordinal])
          stored = packed.stored;
      }
      if (stored) held++;
      if (stored && !asked.some(({ good }) => good.has(ordinal))) gained++;
      writer.append(stored ?? Buffer.alloc(0));
    }
    if (held === 0 || (gained === 0 && !spoiled)) return null;
    const { bytes } = writer.finish(first.index.payload());
    if ((await createOnce(data, name, bytes, signal)) === 'created') return { name, gained };
  }
  return null;
}

interface Examined {
  readonly at: PackAt;
  /** Ordinals that it holds and that can be read. */
  readonly good: ReadonlySet<number>;
  readonly sound: boolean;
}

async function examined(chain: Chain, at: PackAt, signal?: AbortSignal): Promise<Examined> {
  const { bad, problem } = await examinePack(chain, at, signal);
  const lost = new Set(bad);
  const good = new Set<number>();
  at.index.lengths.forEach((length, ordinal) => {
    if (!lost.has(ordinal) && (at.generation === 0 || length > 0)) good.add(ordinal);
  });
  return { at, good, sound: problem === null };
}
