import type { Writable } from 'node:stream';
import { HoldfastError, MiB } from '../../lib/model/index.ts';
import type { DiskBlock } from '../../lib/repository/index.ts';
import type { Image, ImageShape } from './image.ts';

const ZEROS = Buffer.alloc(MiB);

/**
 * A disk as a stream of bytes from its first to its last, zeros included. Blocks come in runs, the runs of a page (256
 * blocks) in the order of their first blocks: a block is written as soon as no earlier one can come, so that at most a
 * page of blocks waits.
 */
export class ImageStream implements Image {
  readonly #out: Writable;
  readonly #shape: ImageShape;
  /** Blocks that wait for earlier ones. */
  readonly #waiting = new Map<number, Buffer>();
  /** Bytes of the disk that were written. */
  #written = 0;
  #failure: unknown;

  constructor(out: Writable, shape: ImageShape) {
    this.#out = out;
    this.#shape = shape;
    // A write that fails says so to its caller as well; without a listener the event would end the program.
    out.on('error', this.#onError);
  }

  readonly #onError = (error: unknown): void => {
    this.#failure ??= error;
  };

  async write(run: readonly DiskBlock[]): Promise<void> {
    for (const { block, bytes } of run) this.#waiting.set(block, bytes);
    const first = run.reduce((least, { block }) => Math.min(least, block), Number.POSITIVE_INFINITY);
    await this.#flush(first);
  }

  async finish(): Promise<void> {
    await this.#flush(Number.POSITIVE_INFINITY);
    await this.#zeros(this.#shape.sizeBytes);
    await this.#put(this.#shape.footer);
    this.#out.off('error', this.#onError);
  }

  discard(): Promise<string> {
    return Promise.resolve(
      this.#written === 0
        ? 'Nothing was written.'
        : 'What was written so far is not a whole disk: do not use it.',
    );
  }

  /** Writes what waits, up to and without block `end`. */
  async #flush(end: number): Promise<void> {
    const { blockBytes, sizeBytes } = this.#shape;
    const ready = [...this.#waiting.keys()].filter((block) => block <= end).sort((a, b) => a - b);
    for (const block of ready) {
      const bytes = this.#waiting.get(block) ?? Buffer.alloc(0);
      this.#waiting.delete(block);
      const offset = block * blockBytes;
      if (offset < this.#written) {
        throw new HoldfastError('internal', `Block ${block} came after a later one was written.`);
      }
      await this.#zeros(offset);
      const inside = bytes.subarray(0, Math.min(bytes.length, sizeBytes - offset));
      await this.#put(inside);
      this.#written += inside.length;
    }
  }

  /** Zeros up to this offset of the disk. */
  async #zeros(end: number): Promise<void> {
    while (this.#written < end) {
      const piece = ZEROS.subarray(0, Math.min(ZEROS.length, end - this.#written));
      await this.#put(piece);
      this.#written += piece.length;
    }
  }

  async #put(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve, reject) => {
        this.#out.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code === 'EPIPE' ? 'its reader went away' : String(error);
      throw new HoldfastError('unavailable', `The output broke off: ${why}.`, {
        cause: error,
        retryable: false,
      });
    }
  }
}
