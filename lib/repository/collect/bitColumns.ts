import type { MapId, PackId } from '../names.ts';

const FIRST_WORDS = 1;

/** The packs of one attempt at a shard: where each one's bits lie in a common pool of 32-bit words. */
interface ShardBits {
  start: Uint32Array;
  words: Uint32Array;
  pool: Uint32Array;
  used: number;
}

/**
 * A bit for each block of each pack. Memory: two words a pack, and at most four bits a block (regions and pools double as they
 * grow): 32 TiB of blocks that do not shrink are 2 Mi packs and 64 Mi blocks, 16 MiB and at most 32 MiB.
 */
export class BlockBits {
  readonly #shards = new Map<string, ShardBits>();
  #last: { id: MapId; bits: ShardBits } | null = null;

  /** True when the bit was not set before. */
  add(pack: PackId, ordinal: number): boolean {
    const bits = this.#shard(pack) ?? this.#newShard(pack);
    const word = ordinal >>> 5;
    reserve(bits, pack.number, word);
    const at = (bits.start[pack.number] ?? 0) + word;
    const before = bits.pool[at] ?? 0;
    const mask = 1 << (ordinal & 31);
    bits.pool[at] = before | mask;
    return (before & mask) === 0;
  }

  has(pack: PackId, ordinal: number): boolean {
    const bits = this.#shard(pack);
    if (!bits || ordinal >>> 5 >= (bits.words[pack.number] ?? 0)) return false;
    const at = (bits.start[pack.number] ?? 0) + (ordinal >>> 5);
    return ((bits.pool[at] ?? 0) & (1 << (ordinal & 31))) !== 0;
  }

  /** Is any block of the pack set? */
  any(pack: PackId): boolean {
    return this.#words(pack).some((word) => word !== 0);
  }

  count(pack: PackId): number {
    let count = 0;
    for (const word of this.#words(pack)) for (let rest = word; rest !== 0; rest &= rest - 1) count++;
    return count;
  }

  /** The bits of a pack, lowest first, eight a byte. */
  bytes(pack: PackId): Buffer {
    const words = this.#words(pack);
    const bytes = Buffer.alloc(words.length * 4);
    words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
    return bytes;
  }

  /** Packs with any bit set, shard by shard. */
  *packs(): Iterable<PackId> {
    for (const [key, bits] of this.#shards) {
      const [sequence = 0, disk = 0, shard = 0, attempt = 0] = key.split('.').map(Number);
      for (let number = 0; number < bits.words.length; number++) {
        const pack = { sequence, disk, shard, attempt, number };
        if (this.any(pack)) yield pack;
      }
    }
  }

  #words(pack: PackId): Uint32Array {
    const bits = this.#shard(pack);
    const start = bits?.start[pack.number] ?? 0;
    return bits ? bits.pool.subarray(start, start + (bits.words[pack.number] ?? 0)) : new Uint32Array();
  }

  #shard(pack: MapId): ShardBits | null {
    const last = this.#last;
    if (last && sameShard(last.id, pack)) return last.bits;
    const bits = this.#shards.get(shardKey(pack));
    if (!bits) return null;
    this.#last = { id: pack, bits };
    return bits;
  }

  #newShard(pack: MapId): ShardBits {
    const bits = {
      start: new Uint32Array(4),
      words: new Uint32Array(4),
      pool: new Uint32Array(16),
      used: 0,
    };
    this.#shards.set(shardKey(pack), bits);
    this.#last = { id: pack, bits };
    return bits;
  }
}

export const shardKey = ({ sequence, disk, shard, attempt }: MapId): string =>
  `${sequence}.${disk}.${shard}.${attempt}`;

const sameShard = (a: MapId, b: MapId): boolean =>
  a.sequence === b.sequence && a.disk === b.disk && a.shard === b.shard && a.attempt === b.attempt;

function grown(column: Uint32Array, length: number): Uint32Array {
  if (length <= column.length) return column;
  const larger = new Uint32Array(Math.max(length, column.length * 2));
  larger.set(column);
  return larger;
}

/** Makes room for word `word` of the pack; a region that is too small moves to the end of the pool, twice as large. */
function reserve(bits: ShardBits, number: number, word: number): void {
  bits.start = grown(bits.start, number + 1);
  bits.words = grown(bits.words, number + 1);
  const has = bits.words[number] ?? 0;
  if (word < has) return;
  const wanted = Math.max(FIRST_WORDS, has * 2, word + 1);
  bits.pool = grown(bits.pool, bits.used + wanted);
  const from = bits.start[number] ?? 0;
  bits.pool.copyWithin(bits.used, from, from + has);
  bits.start[number] = bits.used;
  bits.words[number] = wanted;
  bits.used += wanted;
}
