import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';

/**
 * zstd with one kept context a thread, writing into the caller's memory. `zstdCompressSync` and its inverse make a context and fresh
 * memory for each call, which costs as much as a third of the compression itself (docs/performance.md). A context is reached through
 * what node:zlib keeps in its streams; where that is not as expected, or a call ends in any unexpected way, the plain function
 * decides, and the context is made anew. The bytes are the same either way.
 */
interface Native {
  writeSync(
    flush: number,
    input: Buffer,
    inputAt: number,
    inputLength: number,
    output: Buffer,
    outputAt: number,
    outputLength: number,
  ): void;
  onerror?: (message: string, code: number) => void;
}

interface Stream {
  readonly _handle?: Native | null;
  readonly _writeState?: Uint32Array;
}

class Context {
  readonly #make: () => unknown;
  #stream: { native: Native; state: Uint32Array } | null = null;
  #failed = false;
  #usable = true;

  constructor(make: () => unknown) {
    this.#make = make;
  }

  /** All of `input` into `output`; the bytes written, or null when it did not go as expected. */
  run(flush: number, input: Buffer, output: Buffer): number | null {
    const stream = this.#open();
    if (!stream) return null;
    this.#failed = false;
    stream.native.writeSync(flush, input, 0, input.length, output, 0, output.length);
    const [outputLeft, inputLeft] = stream.state;
    if (!this.#failed && inputLeft === 0 && outputLeft !== undefined) return output.length - outputLeft;
    this.discard();
    return null;
  }

  /** The next call begins with a fresh context. */
  discard(): void {
    this.#stream = null;
  }

  #open(): { native: Native; state: Uint32Array } | null {
    if (this.#stream || !this.#usable) return this.#stream;
    const { _handle: native, _writeState: state } = this.#make() as Stream;
    if (typeof native?.writeSync !== 'function' || state?.length !== 2) {
      this.#usable = false;
      return null;
    }
    native.onerror = () => {
      this.#failed = true;
    };
    this.#stream = { native, state };
    return this.#stream;
  }
}

/**
 * Level 1 with a smaller table and window: a tenth faster on disk blocks, for one part in a hundred more bytes (docs/performance.md).
 * Any decoder reads the result.
 */
const FAST = {
  [constants.ZSTD_c_compressionLevel]: 1,
  [constants.ZSTD_c_windowLog]: 18,
  [constants.ZSTD_c_hashLog]: 13,
  [constants.ZSTD_c_minMatch]: 7,
};
const compressor = new Context(() => createZstdCompress({ params: FAST }));
const decompressor = new Context(() => createZstdDecompress());

/** Room that compressed bytes need at most. */
export const compressRoom = (length: number): number => length + (length >> 7) + 512;

/** As one frame that tells its length. A view of `into` (`compressRoom` bytes) where that was used. */
export function compressInto(plain: Buffer, into: Buffer): Buffer {
  const written = compressor.run(constants.ZSTD_e_end, plain, into);
  if (written !== null && written > 0) return into.subarray(0, written);
  return zstdCompressSync(plain, {
    chunkSize: compressRoom(plain.length),
    pledgedSrcSize: plain.length,
    params: FAST,
  });
}

/** Exactly `into.length` bytes, or whatever the plain function finds: an error, or another length. */
export function expandInto(packed: Buffer, into: Buffer): Buffer {
  const written = decompressor.run(constants.ZSTD_e_continue, packed, into);
  if (written === into.length) return into;
  decompressor.discard();
  return zstdDecompressSync(packed, { chunkSize: into.length + 64, maxOutputLength: into.length + 1 });
}
