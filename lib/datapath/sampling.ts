import {
  type BlockMap,
  blockDigest,
  blocksOf,
  type ChainKeys,
  type MapObjects,
  type Page,
  pageRefs,
  type Ref,
} from '../repository/index.ts';
import type { DiskSource } from './ports.ts';
import { readBlock } from './sourceBlocks.ts';

/** At least so many blocks are checked, and at least this share of the blocks that the parent holds. */
const LEAST = 10;
const SHARE = 0.001;
const PARALLEL = 8;

/** Changed block tracking called a block unchanged that differs from what the parent point holds. */
export class SampleMismatch extends Error {
  override readonly name = 'SampleMismatch';
}

interface Sample {
  readonly block: number;
  /** Digest that the parent holds; null where it has nothing and zeros are expected. */
  readonly digest: Buffer | null;
}

export interface SamplerInput {
  readonly parent: BlockMap;
  readonly maps: MapObjects;
  readonly keys: ChainKeys;
  readonly source: DiskSource;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/**
 * Takes changed block tracking at its word only after a look: re-reads some of the blocks that it calls unchanged and
 * compares them with the parent. Half of them are the first such blocks of the disk (where partition tables and file
 * system heads are), half are drawn at random among the blocks that the parent holds.
 */
export class Sampler {
  /** Bytes read so far. */
  bytes = 0;
  readonly #input: SamplerInput;
  #head: number;
  /** Ranks among the parent's present blocks, ascending. */
  readonly #ranks: number[];
  /** Present blocks of the parent in pages before the next window. */
  #passed = 0;

  private constructor(input: SamplerInput) {
    const { parent, random } = input;
    const samples = Math.max(LEAST, Math.ceil(parent.present * SHARE));
    this.#input = input;
    this.#head = Math.ceil(samples / 2);
    const drawn = Math.min(Math.floor(samples / 2), parent.present);
    this.#ranks = Array.from({ length: drawn }, () => Math.floor(random() * parent.present)).sort(
      (a, b) => a - b,
    );
  }

  /** Starts at page `from`: the windows before it were sampled by an earlier attempt. */
  static async startingAt(input: SamplerInput, from: number): Promise<Sampler> {
    const sampler = new Sampler(input);
    for await (const { ref } of pageRefs(input.parent, 0, from, input.signal)) sampler.#passed += ref.present;
    if (from > 0) sampler.#head = 0;
    return sampler;
  }

  /** Samples pages [from, to), which follow those of the last call. Throws `SampleMismatch`. */
  async check(from: number, to: number, isChanged: (block: number) => boolean): Promise<void> {
    const { source, keys, parent, signal } = this.#input;
    const samples = await this.#choose(from, to, isChanged);
    const zero = Buffer.alloc(parent.blockBytes);
    for (let i = 0; i < samples.length; i += PARALLEL) {
      await Promise.all(
        samples.slice(i, i + PARALLEL).map(async ({ block, digest }) => {
          const { plain, read } = await readBlock(source, block, parent.blockBytes, signal);
          this.bytes += read;
          const same = digest ? blockDigest(keys, plain).equals(digest) : plain.equals(zero);
          if (!same) throw new SampleMismatch(`block ${block} changed, and its tracking does not say so`);
        }),
      );
    }
  }

  async #choose(from: number, to: number, isChanged: (block: number) => boolean): Promise<Sample[]> {
    const { parent, maps, signal } = this.#input;
    const chosen = new Map<number, Sample>();
    const end = Math.min(to * parent.pageBlocks, blocksOf(parent));
    const choose = async (block: number, content: Page | null) => {
      const ref = content?.get(block % parent.pageBlocks);
      const digest = ref ? (await maps.packIndex(ref.pack, signal)).digest(ref.ordinal) : null;
      chosen.set(block, { block, digest });
    };
    const refs = new Map<number, Ref>();
    for await (const { page, ref } of pageRefs(parent, from, to, signal)) refs.set(page, ref);

    for (let page = from; this.#head > 0 && page * parent.pageBlocks < end; page++) {
      const ref = refs.get(page);
      const content = ref ? await maps.page(ref, signal) : null;
      const first = page * parent.pageBlocks;
      for (let block = first; this.#head > 0 && block < Math.min(first + parent.pageBlocks, end); block++) {
        if (isChanged(block)) continue;
        await choose(block, content);
        this.#head--;
      }
    }

    for (const [page, ref] of refs) {
      const upTo = this.#passed + ref.present;
      if ((this.#ranks[0] ?? Infinity) < upTo) {
        const content = await maps.page(ref, signal);
        const first = page * parent.pageBlocks;
        const present = Array.from({ length: content.blocks }, (_, i) => first + i).filter((block) =>
          content.get(block - first),
        );
        while ((this.#ranks[0] ?? Infinity) < upTo) {
          const rank = (this.#ranks.shift() ?? 0) - this.#passed;
          const free = (block: number) => !isChanged(block) && !chosen.has(block);
          const block = present.slice(rank).find(free) ?? present.find(free);
          if (block !== undefined) await choose(block, content);
        }
      }
      this.#passed = upTo;
    }
    return [...chosen.values()];
  }
}
