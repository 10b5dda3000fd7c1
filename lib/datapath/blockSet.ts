/** A set of block numbers within a page: a bit each, lowest first. */
export class BlockSet {
  readonly bytes: Buffer;

  constructor(blocks: number, bytes: Buffer = Buffer.alloc(Math.ceil(blocks / 8))) {
    this.bytes = bytes;
  }

  has(block: number): boolean {
    return ((this.bytes[block >> 3] ?? 0) & (1 << (block & 7))) !== 0;
  }

  add(block: number): void {
    this.bytes[block >> 3] = (this.bytes[block >> 3] ?? 0) | (1 << (block & 7));
  }

  delete(block: number): void {
    this.bytes[block >> 3] = (this.bytes[block >> 3] ?? 0) & ~(1 << (block & 7));
  }

  get size(): number {
    let size = 0;
    for (const byte of this.bytes) for (let rest = byte; rest; rest &= rest - 1) size++;
    return size;
  }

  *[Symbol.iterator](): Iterator<number> {
    for (let i = 0; i < this.bytes.length; i++) {
      const byte = this.bytes[i] ?? 0;
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) yield i * 8 + bit;
    }
  }

  /** Stretches of neighbours, at most `longest` blocks each: [first, count]. */
  *runs(longest: number): Iterable<[first: number, count: number]> {
    let first = -1;
    let count = 0;
    for (const block of this) {
      if (count > 0 && block === first + count && count < longest) {
        count++;
        continue;
      }
      if (count > 0) yield [first, count];
      first = block;
      count = 1;
    }
    if (count > 0) yield [first, count];
  }
}
