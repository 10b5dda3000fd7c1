import { MiB } from '../model/index.ts';
import { blocksOf, type DiskBlock, type MapShape, type Page } from '../repository/index.ts';

/** One write to the disk, at most. */
const REGION_BYTES = 4 * MiB;

/** Bytes that go to the disk in one write. */
export interface DiskWrite {
  readonly offset: number;
  readonly bytes: Buffer;
  /** To be called when they are written: their memory is used again. */
  done(): void;
}

interface Region {
  readonly space: Buffer;
  /** Blocks that are there. */
  readonly filled: Uint8Array;
}

/**
 * Lets the blocks of a page be expanded where they lie beside their neighbours, so that they are written together and never copied.
 * Blocks come in the order of the packs: where they are so scattered that more than `most` regions of the disk would be begun at a
 * time, a block is written alone.
 */
export class WriteRegions {
  readonly #shape: MapShape;
  readonly #first: number;
  readonly #perRegion: number;
  readonly #most: number;
  readonly #pool: Buffer[];
  readonly #open = new Map<number, Region>();
  /** Blocks of each region that are still to come. */
  readonly #left: Uint32Array;

  /** `pool`: memory of earlier writes. */
  constructor(
    shape: MapShape,
    page: number,
    content: Page,
    { most, pool }: { most: number; pool: Buffer[] },
  ) {
    this.#shape = shape;
    this.#first = page * shape.pageBlocks;
    this.#perRegion = Math.max(1, Math.floor(REGION_BYTES / shape.blockBytes));
    this.#most = most;
    this.#pool = pool;
    this.#left = new Uint32Array(Math.ceil(content.blocks / this.#perRegion));
    for (let i = 0; i < content.blocks; i++) {
      const region = Math.floor(i / this.#perRegion);
      if (content.get(i)) this.#left[region] = (this.#left[region] ?? 0) + 1;
    }
  }

  /** Memory for a block beside its neighbours; undefined when the block is to be written alone. The same when asked again. */
  room(block: number): Buffer | undefined {
    const { index, place } = this.#placeOf(block);
    let region = this.#open.get(index);
    if (!region) {
      if (this.#open.size >= this.#most) return undefined;
      const { blockBytes } = this.#shape;
      const space = this.#pool.pop() ?? Buffer.allocUnsafeSlow(this.#perRegion * blockBytes);
      region = { space, filled: new Uint8Array(this.#perRegion) };
      this.#open.set(index, region);
    }
    return slot(region, place, this.#shape.blockBytes);
  }

  /** A block is there: what can be written now. */
  *take({ block, bytes }: DiskBlock): Generator<DiskWrite> {
    const { index, place } = this.#placeOf(block);
    const region = this.#open.get(index);
    const left = (this.#left[index] ?? 0) - 1;
    this.#left[index] = left;
    if (region && bytes.buffer === region.space.buffer) region.filled[place] = 1;
    else yield this.#write(block, bytes, () => {});
    if (!region || left > 0) return;
    this.#open.delete(index);
    yield* this.#stretches(index, region);
  }

  *#stretches(index: number, { space, filled }: Region): Generator<DiskWrite> {
    const { blockBytes } = this.#shape;
    const stretches: [from: number, to: number][] = [];
    for (let from = filled.indexOf(1); from >= 0; ) {
      const end = filled.indexOf(0, from);
      const to = end < 0 ? filled.length : end;
      stretches.push([from, to]);
      from = filled.indexOf(1, to);
    }
    let under = stretches.length;
    const done = () => {
      if (--under === 0) this.#pool.push(space);
    };
    if (under === 0) this.#pool.push(space);
    for (const [from, to] of stretches) {
      const block = this.#first + index * this.#perRegion + from;
      yield this.#write(block, space.subarray(from * blockBytes, to * blockBytes), done);
    }
  }

  /** The disk's last block is cut at its end. */
  #write(block: number, bytes: Buffer, done: () => void): DiskWrite {
    const { blockBytes, sizeBytes } = this.#shape;
    const offset = block * blockBytes;
    return { offset, bytes: bytes.subarray(0, Math.min(bytes.length, sizeBytes - offset)), done };
  }

  #placeOf(block: number): { index: number; place: number } {
    if (block >= blocksOf(this.#shape)) throw new RangeError('a block lies behind the end of the disk');
    const inPage = block - this.#first;
    const index = Math.floor(inPage / this.#perRegion);
    return { index, place: inPage - index * this.#perRegion };
  }
}

const slot = ({ space }: Region, place: number, blockBytes: number): Buffer =>
  space.subarray(place * blockBytes, (place + 1) * blockBytes);
