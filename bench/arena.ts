const CHUNK = 64 * 1024 * 1024;

/** Memory for blobs. `bytes` of it are touched at once: the first touch of a page costs more than filling it. */
export class Arena {
  readonly #chunks: Buffer[] = [];
  #used = 0;

  constructor(bytes: number) {
    for (let at = 0; at < bytes; at += CHUNK) this.#chunks.push(Buffer.alloc(CHUNK, 1));
  }

  take(length: number): Buffer {
    if (length > CHUNK) return Buffer.alloc(length);
    if (this.#chunks.length === 0 || this.#used + length > CHUNK) {
      this.#chunks.pop();
      if (this.#chunks.length === 0) this.#chunks.push(Buffer.alloc(CHUNK, 1));
      this.#used = 0;
    }
    const chunk = this.#chunks.at(-1) as Buffer;
    this.#used += length;
    return chunk.subarray(this.#used - length, this.#used);
  }
}
