import { compressBlock } from '../blockCodec.ts';
import { blocksOf } from '../blockMap.ts';
import { BlockReader } from '../blockReader.ts';
import type { Chain } from '../chain.ts';
import { NODE_PAGES } from '../chain.ts';
import { damageIn, examinePack, readStoredBlock } from '../checkContent.ts';
import { createOnce } from '../createOnce.ts';
import { MapObjects } from '../mapObjects.ts';
import { generationName, generationsPrefix, parsePackName } from '../names.ts';
import { chainData, openPoint } from '../openPoint.ts';
import { PackGenerations } from '../packGenerations.ts';
import { RecordWriter } from '../recordObject.ts';
import { KIND } from '../sealedObject.ts';
import type { BadPack } from './badPacks.ts';
import type { LostBlock } from './damageWalk.ts';
import { lostBlocks, type MarkedDamage, markDamage } from './markDamage.ts';

export interface Healed extends MarkedDamage {
  /** Generations that were written. */
  readonly written: readonly string[];
  /** Blocks of packs that can be read again. */
  readonly blocks: number;
}

/**
 * Heals older points after a backup has read the damaged blocks again: where the newest point holds, at the place of a lost
 * block, a block of the same digest, the lost one's pack is written anew as its next generation, with all of its blocks that
 * can be read or recovered, under the same ordinals. Then the states are brought up to date. What the guest overwrote since
 * cannot be recovered. The damaged generation stays until collection removes it as it does any lower one. May be called
 * again, and by two at once: the one that comes second writes a further generation with the same blocks.
 */
export async function healChain(
  chain: Chain,
  { now, signal }: { readonly now: Date; readonly signal?: AbortSignal | undefined },
): Promise<Healed> {
  const { packs, lost, newest } = await lostBlocks(chain, signal);
  const written: string[] = [];
  let blocks = 0;
  if (newest !== null && lost.size > 0) {
    const source = await NewestBlocks.open(chain, newest);
    for (const [name, bad] of packs) {
      const again = await recover(source, name, bad, lost, signal);
      if (again.size === 0) continue;
      const generation = await writeGeneration(chain, bad, again, signal);
      if (generation === null) continue;
      written.push(generation);
      blocks += again.size;
    }
  }
  return { written, blocks, ...(await markDamage(chain, [], { now, signal })) };
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

/** Writes the next generation of a pack; null when it would hold nothing new. */
async function writeGeneration(
  chain: Chain,
  { pack }: BadPack,
  again: ReadonlyMap<number, Buffer>,
  signal?: AbortSignal,
): Promise<string | null> {
  const { data } = chain.repository;
  const maps = new MapObjects(chainData(chain));
  const generations = new PackGenerations(chainData(chain), maps);
  const first = await generations.open(pack, 0, signal);
  const { lengths, codecs } = first.index;
  let highest = 0;
  for await (const { name } of data.list(generationsPrefix(chain.id, pack), { signal }))
    highest = Math.max(highest, parsePackName(name)?.generation ?? 0);
  const there = [await examined(chain, first, signal)];
  if (highest > 0) {
    try {
      there.push(await examined(chain, await generations.open(pack, highest, signal), signal));
    } catch (error) {
      // Its index is damaged: nothing of it can be found.
      damageIn(error);
    }
  }
  for (let generation = highest + 1; ; generation++) {
    const name = generationName(chain.id, pack, generation);
    const writer = new RecordWriter(chain.keys.seal, { kind: KIND.pack, chain: chain.id, name });
    let recovered = 0;
    for (let ordinal = 0; ordinal < lengths.length; ordinal++) {
      const kept = there.find(({ good }) => good.has(ordinal));
      let stored = kept ? (await readStoredBlock(chain, kept.at, ordinal, signal)).stored : null;
      const plain = again.get(ordinal);
      if (!stored && plain) {
        const packed = compressBlock(plain);
        // A generation has the codecs and lengths of the first: another version of the codec may not give them.
        if (packed.codec === codecs[ordinal] && packed.stored.length === lengths[ordinal]) {
          stored = packed.stored;
          recovered++;
        }
      }
      writer.append(stored ?? Buffer.alloc(0));
    }
    if (recovered === 0) return null;
    const { bytes } = writer.finish(first.index.payload());
    if ((await createOnce(data, name, bytes, signal)) === 'created') return name;
  }
}

async function examined(chain: Chain, at: Parameters<typeof examinePack>[1], signal?: AbortSignal) {
  const { bad, name } = await examinePack(chain, at, signal);
  const lost = new Set(bad);
  const good = new Set<number>();
  at.index.lengths.forEach((length, ordinal) => {
    if (!lost.has(ordinal) && (at.generation === 0 || length > 0)) good.add(ordinal);
  });
  return { at, name, good };
}
