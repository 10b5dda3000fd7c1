import { setImmediate as nextTurn } from 'node:timers/promises';
import { HoldfastError, MiB } from '../model/index.ts';
import {
  blockDigest,
  blocksOf,
  inOrder,
  PACK_BYTES,
  PackWriter,
  packSpace,
  type SizedTask,
} from '../repository/index.ts';
import { type Feed, type LanePlaces, type MoveLane, SAME, STORED, type Strip, ZERO } from './lanes.ts';
import { PackUploads } from './packUploads.ts';
import type { DiskSource } from './ports.ts';
import { readExactly } from './sourceBlocks.ts';

/** Neighbouring blocks are read in one request of at most so many bytes. */
const MAX_READ = 2 * MiB;
const MAX_READS = 48;

interface ReadRun {
  readonly strip: Strip;
  readonly first: number;
  readonly bytes: Buffer;
  /** Bytes really read: the disk's last block is padded. */
  readonly read: number;
  /** The last of its strip. */
  readonly last: boolean;
  free(): void;
}

/**
 * Reads strips several requests ahead, leaves out zeros and what the parent holds, compresses, seals and packs the rest, and
 * stores packs while reading on. Memory is bounded: reads ahead, packs in upload and one that fills, each used again.
 */
export async function runMoveLane(setup: MoveLane, places: LanePlaces, feed: Feed): Promise<void> {
  const { source } = places;
  if (!source)
    throw new HoldfastError('internal', 'A lane that moves needs a disk to read.', { target: 'lane' });
  const packer = new BlockPacker(setup, places, feed);
  try {
    const reads = inOrder(
      readsOf(setup, source, feed),
      { bytes: setup.readAhead, tasks: MAX_READS },
      feed.signal,
    );
    let strip = new StripOutcome();
    for await (const { strip: of, first, bytes, read, last, free } of reads) {
      await strip.take(packer, of, first, bytes);
      free();
      strip.readBytes += read;
      if (last) {
        feed.report(strip.done(of.page));
        strip = new StripOutcome();
      }
      // Blocks are worked on without a pause: sockets get their turn here.
      await nextTurn();
    }
    await packer.finish();
  } finally {
    // An upload must not go on behind the back of whoever runs the next attempt.
    await packer.settle();
  }
}

async function* readsOf(
  { blockBytes, pageBlocks, sizeBytes }: MoveLane,
  source: DiskSource,
  feed: Feed,
): AsyncGenerator<SizedTask<ReadRun>> {
  const readBlocks = Math.max(1, Math.floor(MAX_READ / blockBytes));
  // Touching fresh memory costs as much as hashing it: what was read into is read into again.
  const pool: Buffer[] = [];
  for (let strip = await feed.next(); strip !== null; strip = await feed.next()) {
    if (typeof strip === 'number' || strip.kind !== 'strip') throw new TypeError('a strip was expected');
    const of = strip;
    const pieces = of.runs.flatMap(([first, count]) =>
      Array.from({ length: Math.ceil(count / readBlocks) }, (_, i) => ({
        first: first + i * readBlocks,
        count: Math.min(readBlocks, count - i * readBlocks),
      })),
    );
    for (const [i, { first, count }] of pieces.entries()) {
      const block = of.page * pageBlocks + first;
      if (block + count > blocksOf({ sizeBytes, blockBytes, pageBlocks }))
        throw new RangeError('the plan reads past the end of the disk');
      const offset = block * blockBytes;
      const length = Math.min(count * blockBytes, sizeBytes - offset);
      yield {
        bytes: count * blockBytes,
        run: async () => {
          const space = pool.pop() ?? Buffer.allocUnsafeSlow(readBlocks * blockBytes);
          const got = await readExactly(source, offset, length, feed.signal, space);
          const bytes = space.subarray(0, count * blockBytes);
          // A source may answer in memory of its own.
          if (got.buffer !== space.buffer) got.copy(bytes);
          bytes.fill(0, length);
          return {
            strip: of,
            first,
            bytes,
            read: length,
            last: i === pieces.length - 1,
            free: () => pool.push(space),
          };
        },
      };
    }
  }
}

/** Gathers what became of the blocks of one strip. */
class StripOutcome {
  readBytes = 0;
  readonly #places: number[] = [];
  readonly #outcomes: number[] = [];
  readonly #packs: number[] = [];
  readonly #ordinals: number[] = [];

  async take(packer: BlockPacker, strip: Strip, first: number, bytes: Buffer): Promise<void> {
    const size = packer.blockBytes;
    for (let at = 0; at < bytes.length; at += size) {
      const place = first + at / size;
      const { outcome, pack, ordinal } = packer.add(bytes.subarray(at, at + size), strip, place);
      this.#places.push(place);
      this.#outcomes.push(outcome);
      this.#packs.push(pack);
      this.#ordinals.push(ordinal);
      await packer.roll();
    }
  }

  done(page: number) {
    return {
      kind: 'strip',
      page,
      readBytes: this.readBytes,
      places: Uint16Array.from(this.#places),
      outcomes: Uint8Array.from(this.#outcomes),
      packs: Uint32Array.from(this.#packs),
      ordinals: Uint32Array.from(this.#ordinals),
    } as const;
  }
}

/** Turns blocks into packs. */
class BlockPacker {
  readonly blockBytes: number;
  readonly #setup: MoveLane;
  readonly #places: LanePlaces;
  readonly #feed: Feed;
  readonly #uploads: PackUploads;
  readonly #zero: Buffer;
  /** Memory of packs that are stored. */
  readonly #free: Buffer[] = [];
  #pack: { writer: PackWriter; space: Buffer } | null = null;
  #packs = 0;

  constructor(setup: MoveLane, places: LanePlaces, feed: Feed) {
    this.blockBytes = setup.blockBytes;
    this.#setup = setup;
    this.#places = places;
    this.#feed = feed;
    this.#uploads = new PackUploads(places.data, feed.signal, setup.uploads);
    this.#zero = Buffer.alloc(setup.blockBytes);
  }

  add(bytes: Buffer, strip: Strip, place: number): { outcome: number; pack: number; ordinal: number } {
    if (bytes.equals(this.#zero)) return { outcome: ZERO, pack: 0, ordinal: 0 };
    const digest = blockDigest(this.#places.keys, bytes);
    const known = strip.known.indexOf(place);
    if (
      known >= 0 &&
      digest.equals(strip.digests.subarray(known * digest.length, (known + 1) * digest.length))
    )
      return { outcome: SAME, pack: 0, ordinal: 0 };
    this.#pack ??= this.#open();
    const { writer } = this.#pack;
    return { outcome: STORED, pack: writer.id.number, ordinal: writer.add(bytes, digest) };
  }

  #open(): { writer: PackWriter; space: Buffer } {
    const { keys, chain } = this.#places;
    const { id, compare, firstPack, packStep } = this.#setup;
    const space = this.#free.pop() ?? packSpace(this.blockBytes);
    const number = firstPack + this.#packs++ * packStep;
    return { writer: new PackWriter(keys, chain, { ...id, number }, { compare, space }), space };
  }

  /** Uploads the pack when it is full; resolves when there is room for another. */
  async roll(): Promise<void> {
    if (this.#pack && this.#pack.writer.length >= PACK_BYTES) await this.#close();
  }

  async #close(): Promise<void> {
    if (!this.#pack) return;
    const { writer, space } = this.#pack;
    this.#pack = null;
    const pack = writer.finish();
    await this.#uploads.add(pack, () => {
      this.#free.push(space);
      const { id, bytes, index } = pack;
      this.#feed.report({ kind: 'pack', number: id.number, length: bytes.length, index: index.encode() });
    });
  }

  async finish(): Promise<void> {
    await this.#close();
    await this.#uploads.done();
  }

  settle(): Promise<void> {
    return this.#uploads.settle();
  }
}
