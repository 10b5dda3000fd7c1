import {
  type BlockIndex,
  blockIndex,
  type HoldfastError,
  isHoldfastError,
  KiB,
  MiB,
} from '../model/index.ts';
import { expandBlock } from './blockCodec.ts';
import { blockDigest } from './blockDigest.ts';
import { type BlockMap, pageRefs } from './blockMap.ts';
import { corruptObject, decoding } from './damage.ts';
import { inOrder, type SizedTask } from './inOrder.ts';
import { type ChainData, MapObjects } from './mapObjects.ts';
import type { PackId } from './names.ts';
import { holds, type PackAt, PackGenerations } from './packGenerations.ts';
import type { PackIndex } from './packIndex.ts';
import type { Page } from './page.ts';
import { Recent } from './recent.ts';
import { HEADER_BYTES, KIND, ObjectSeal } from './sealedObject.ts';

/** A plain block of a disk. */
export interface DiskBlock {
  readonly block: BlockIndex;
  /** `blockBytes` long; the last block of a disk is padded with zeros. */
  readonly bytes: Buffer;
}

/** Memory of `blockBytes` bytes that a block is to be expanded to; undefined: fresh. Asked twice, it must answer the same. */
export type BlockRoom = (block: number) => Buffer | undefined;

interface Wanted {
  readonly block: number;
  readonly ordinal: number;
}

const MAX_RANGE = 4 * MiB;
/** Plain bytes of one run: keeps memory bounded where blocks compress to nothing. */
const MAX_PLAIN = 8 * MiB;
/** Reading so many bytes for nothing is cheaper than another request. */
const MAX_GAP = 64 * KiB;
const IN_FLIGHT = { bytes: 32 * MiB, tasks: 32 };
const SEALS_KEPT = 4096;
const FRESH: BlockRoom = () => undefined;

/**
 * Reads blocks out of packs: grouped by pack, neighbouring ranges in one request, several requests under way. Of a pack that
 * was compacted it finds the generation that is there, also while it reads.
 */
export class BlockReader {
  readonly #chain: ChainData;
  readonly #maps: MapObjects;
  readonly #generations: PackGenerations;
  readonly #inFlight: typeof IN_FLIGHT;
  /** What ranges were read into. */
  readonly #memory: Buffer[] = [];
  readonly #headers = new Recent<ObjectSeal>(SEALS_KEPT, () => 1);

  /** `inFlight`: plain bytes, and requests, that are read ahead at most. */
  constructor(chain: ChainData, maps = new MapObjects(chain), inFlight = IN_FLIGHT) {
    this.#chain = chain;
    this.#maps = maps;
    this.#inFlight = inFlight;
    this.#generations = new PackGenerations(chain, maps);
  }

  /**
   * The blocks of pages [from, to) that are not absent, in runs of what one request brought; within a run in the order of
   * the pack, runs of a page in the order of their first block. Each block is authenticated and its digest checked;
   * `corruptObject` and `missingObject` name the object.
   */
  async *read(
    map: BlockMap,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly DiskBlock[]> {
    yield* inOrder(this.#tasks(map, from, to, signal), this.#inFlight, signal);
  }

  /** The same of one page, whose content is known. */
  readPage(
    page: number,
    content: Page,
    room: BlockRoom,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly DiskBlock[]> {
    return inOrder(this.#pageTasks(page, content, room, signal), this.#inFlight, signal);
  }

  async *#tasks(
    map: BlockMap,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncGenerator<SizedTask<DiskBlock[]>> {
    for await (const { page, ref } of pageRefs(map, from, to, signal)) {
      const content = await this.#maps.page(ref, signal);
      yield* this.#pageTasks(page, content, FRESH, signal);
    }
  }

  /** The runs of one page. */
  async *#pageTasks(
    page: number,
    content: Page,
    room: BlockRoom,
    signal?: AbortSignal,
  ): AsyncGenerator<SizedTask<DiskBlock[]>> {
    const first = page * this.#chain.pageBlocks;
    const byPack = new Map<PackId, Wanted[]>();
    for (let i = 0; i < content.blocks; i++) {
      const ref = content.get(i);
      if (!ref) continue;
      const wanted = byPack.get(ref.pack) ?? [];
      wanted.push({ block: first + i, ordinal: ref.ordinal });
      byPack.set(ref.pack, wanted);
    }
    const packs = await Promise.all(
      [...byPack].map(async ([pack, wanted]) => ({ wanted, at: await this.#generations.at(pack, signal) })),
    );
    const runs = packs.flatMap(({ wanted, at }) =>
      decoding(at.name, 'its index', () => split(wanted, at.index, MAX_PLAIN / this.#chain.blockBytes)).map(
        (run) => ({ at, run }),
      ),
    );
    runs.sort((a, b) => (a.run[0]?.block ?? 0) - (b.run[0]?.block ?? 0));
    for (const { at, run } of runs) {
      yield {
        bytes: run.length * this.#chain.blockBytes,
        run: () => this.#readRun(at, run, room, signal),
      };
    }
  }

  /** Reads a run where it is: the generation that is known, or, when that is gone or lacks a block, the newest. */
  async #readRun(
    at: PackAt,
    run: readonly Wanted[],
    room: BlockRoom,
    signal?: AbortSignal,
  ): Promise<DiskBlock[]> {
    const lacking = run.find(({ ordinal }) => !holds(at, ordinal));
    if (!lacking) {
      try {
        return await this.#readFrom(at, run, room, signal);
      } catch (error) {
        const gone = isHoldfastError(error, 'missingObject');
        if (!(gone || isHoldfastError(error, 'corruptObject')) || error.target !== at.name) throw error;
        if (!gone) return this.#readHealed(at, run, error, room, signal);
      }
    }
    return this.#readRun(await this.#generations.newer(at, signal, lacking?.ordinal), run, room, signal);
  }

  /** A damaged pack may have a generation that was healed; without one, `damage` stands. */
  async #readHealed(
    at: PackAt,
    run: readonly Wanted[],
    damage: HoldfastError,
    room: BlockRoom,
    signal?: AbortSignal,
  ): Promise<DiskBlock[]> {
    let healed: PackAt;
    try {
      healed = await this.#generations.newer(at, signal);
    } catch (error) {
      if (isHoldfastError(error, 'missingObject') && error.target === at.name) throw damage;
      throw error;
    }
    return this.#readRun(healed, run, room, signal);
  }

  async #readFrom(
    { name, index }: PackAt,
    run: readonly Wanted[],
    room: BlockRoom,
    signal?: AbortSignal,
  ): Promise<DiskBlock[]> {
    const { data, keys, blockBytes } = this.#chain;
    const start = index.extent(run[0]?.ordinal ?? 0).offset;
    const last = index.extent(run.at(-1)?.ordinal ?? 0);
    const range = { offset: start, length: last.offset + last.length - start };
    // Without a cipher a block may be a view of what was read.
    const into = keys.seal && range.length <= MAX_RANGE ? this.#memory.pop() : undefined;
    const space = into ?? Buffer.allocUnsafeSlow(Math.max(range.length, MAX_RANGE));
    const [seal, { bytes }] = await Promise.all([
      this.#seal(name, signal),
      data.read(name, range, { signal, into: space }),
    ]);
    if (bytes.length !== range.length) throw corruptObject(name, 'it ends too early');
    const blocks = run.map(({ block, ordinal }) => {
      const { offset, length } = index.extent(ordinal);
      const sealed = bytes.subarray(offset - start, offset - start + length);
      const plain = decoding(name, `block ${ordinal}`, () =>
        expandBlock(index.codecs[ordinal] ?? 0, seal.open(ordinal, sealed), blockBytes, room(block)),
      );
      if (!blockDigest(keys, plain).equals(index.digest(ordinal)))
        throw corruptObject(name, `block ${ordinal} has another digest`);
      return { block: blockIndex(block), bytes: plain };
    });
    if (keys.seal && space.length === MAX_RANGE) this.#memory.push(space);
    return blocks;
  }

  /** The pack's header is needed to open any block of it: fetched once. */
  #seal(name: string, signal?: AbortSignal): Promise<ObjectSeal> {
    const { data, id: chain, keys } = this.#chain;
    return this.#headers.get(name, async () => {
      const { bytes } = await data.read(name, { offset: 0, length: HEADER_BYTES }, { signal });
      return ObjectSeal.of(keys.seal, { kind: KIND.pack, chain, name }, bytes);
    });
  }

  /** One block, or null when it is absent. */
  async block(content: Page, blockOfPage: number, signal?: AbortSignal): Promise<Buffer | null> {
    const ref = content.get(blockOfPage);
    if (!ref) return null;
    const run = [{ block: blockOfPage, ordinal: ref.ordinal }];
    return (
      (await this.#readRun(await this.#generations.at(ref.pack, signal), run, FRESH, signal))[0]?.bytes ??
      null
    );
  }
}

/** Cuts the wanted blocks of one pack into runs that one request fetches each. */
function split(wanted: readonly Wanted[], index: PackIndex, maxBlocks: number): Wanted[][] {
  const runs: Wanted[][] = [];
  let start = 0;
  let end = -Infinity;
  for (const want of wanted.toSorted((a, b) => a.ordinal - b.ordinal)) {
    const { offset, length } = index.extent(want.ordinal);
    const run = runs.at(-1);
    if (run && offset - end <= MAX_GAP && offset + length - start <= MAX_RANGE && run.length < maxBlocks)
      run.push(want);
    else {
      runs.push([want]);
      start = offset;
    }
    end = offset + length;
  }
  return runs;
}
