import { deflate, inflate } from './blockCodec.ts';
import { ByteReader, ByteWriter } from './byteCodec.ts';
import type { PackId } from './names.ts';

/** Where a block is stored. */
export interface BlockRef {
  readonly pack: PackId;
  readonly ordinal: number;
}

/** The block map of `blocks` consecutive blocks: for each, the pack and the ordinal, or nothing (it reads as zeros). */
export class Page {
  readonly blocks: number;
  readonly packs: PackId[] = [];
  /** Index into `packs` plus one; 0 for an absent block. */
  readonly #pack: Uint16Array;
  readonly #ordinal: Uint32Array;
  readonly #known = new Map<string, number>();
  #present = 0;

  constructor(blocks: number) {
    this.blocks = blocks;
    this.#pack = new Uint16Array(blocks);
    this.#ordinal = new Uint32Array(blocks);
  }

  /** Blocks that are not absent. */
  get present(): number {
    return this.#present;
  }

  get(block: number): BlockRef | null {
    const pack = this.packs[(this.#pack[block] ?? 0) - 1];
    return pack ? { pack, ordinal: this.#ordinal[block] ?? 0 } : null;
  }

  set(block: number, { pack, ordinal }: BlockRef): void {
    if (this.#pack[block] === 0) this.#present++;
    this.#pack[block] = this.#indexOf(pack);
    this.#ordinal[block] = ordinal;
  }

  clear(block: number): void {
    if (this.#pack[block] !== 0) this.#present--;
    this.#pack[block] = 0;
    this.#ordinal[block] = 0;
  }

  #indexOf(pack: PackId): number {
    const { sequence, disk, shard, attempt, number } = pack;
    const key = `${sequence}.${disk}.${shard}.${attempt}.${number}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const index = this.packs.push(pack);
    this.#known.set(key, index);
    return index;
  }

  /**
   * Columns, delta-coded, then zstd:
   * packs in order of first use (count; then sequence, disk, shard, attempt and number, each as difference from the one
   * before); presence, a bit a block, lowest first; for each present block the difference of its pack's index from the one
   * before; for each its ordinal less the one that would follow in its pack.
   */
  encode(): Buffer {
    // Packs that no block uses any more are left out: what is stored depends on the content only.
    const order: PackId[] = [];
    const renumbered = new Map<number, number>();
    const presence = Buffer.alloc(Math.ceil(this.blocks / 8));
    for (let block = 0; block < this.blocks; block++) {
      const index = this.#pack[block] ?? 0;
      const pack = this.packs[index - 1];
      if (!pack) continue;
      presence[block >> 3] = (presence[block >> 3] ?? 0) | (1 << (block & 7));
      if (!renumbered.has(index)) renumbered.set(index, order.push(pack) - 1);
    }
    const writer = new ByteWriter(presence.length + order.length * 8 + this.blocks * 3).varint(order.length);
    writePacks(writer, order);
    writer.bytes(presence);
    let before = 0;
    for (let block = 0; block < this.blocks; block++) {
      const index = this.#pack[block] ?? 0;
      if (index === 0) continue;
      const now = renumbered.get(index) ?? 0;
      writer.signed(now - before);
      before = now;
    }
    const expected = new Float64Array(order.length);
    for (let block = 0; block < this.blocks; block++) {
      const index = this.#pack[block] ?? 0;
      if (index === 0) continue;
      const pack = renumbered.get(index) ?? 0;
      const ordinal = this.#ordinal[block] ?? 0;
      writer.signed(ordinal - (expected[pack] ?? 0));
      expected[pack] = ordinal + 1;
    }
    return deflate(writer.done());
  }

  /** Throws a `RangeError` (or zlib's error) on anything that `encode` did not write. */
  static decode(bytes: Buffer, blocks: number): Page {
    const reader = new ByteReader(inflate(bytes));
    const page = new Page(blocks);
    const packs = readPacks(reader, reader.varint(), blocks);
    const presence = reader.bytes(Math.ceil(blocks / 8));
    const present: number[] = [];
    for (let block = 0; block < blocks; block++) {
      if ((presence[block >> 3] ?? 0) & (1 << (block & 7))) present.push(block);
    }
    let index = 0;
    const chosen = present.map(() => {
      index += reader.signed();
      const pack = packs[index];
      if (!pack) throw new RangeError('names a pack that it does not list');
      return { pack, index };
    });
    const expected = new Float64Array(packs.length);
    chosen.forEach(({ pack, index }, i) => {
      const ordinal = (expected[index] ?? 0) + reader.signed();
      if (ordinal < 0 || ordinal > 0xffff_ffff) throw new RangeError('holds an impossible ordinal');
      expected[index] = ordinal + 1;
      page.set(present[i] ?? 0, { pack, ordinal });
    });
    reader.end();
    return page;
  }
}

const FIELDS = ['sequence', 'disk', 'shard', 'attempt', 'number'] as const;

function writePacks(writer: ByteWriter, packs: readonly PackId[]): void {
  for (const field of FIELDS) {
    let before = 0;
    for (const pack of packs) {
      writer.signed(pack[field] - before);
      before = pack[field];
    }
  }
}

function readPacks(reader: ByteReader, count: number, most: number): PackId[] {
  if (count > most) throw new RangeError('lists more packs than blocks');
  const [sequence = [], disk = [], shard = [], attempt = [], number = []] = FIELDS.map(() => {
    let before = 0;
    return Array.from({ length: count }, () => {
      before += reader.signed();
      if (before < 0) throw new RangeError('holds a negative number');
      return before;
    });
  });
  return Array.from({ length: count }, (_, i) => ({
    sequence: sequence[i] ?? 0,
    disk: disk[i] ?? 0,
    shard: shard[i] ?? 0,
    attempt: attempt[i] ?? 0,
    number: number[i] ?? 0,
  }));
}
