import { HoldfastError } from '../../lib/model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore } from '../../lib/repository/index.ts';

/**
 * A container that is only read: what changes it is refused, so that nothing here can harm a repository that somebody is
 * rescuing. Counts the bytes that were read.
 */
export class ReadingStore implements BlobStore {
  readonly name: string;
  readonly #base: BlobStore;
  readonly #onRead: (bytes: number) => void;

  constructor(base: BlobStore, onRead: (bytes: number) => void = () => undefined) {
    this.name = base.name;
    this.#base = base;
    this.#onRead = onRead;
  }

  create(name: string): Promise<never> {
    return this.#refuse(name);
  }

  replace(name: string): Promise<never> {
    return this.#refuse(name);
  }

  remove(name: string): Promise<never> {
    return this.#refuse(name);
  }

  async read(
    name: string,
    range?: { offset: number; length: number },
    options?: BlobCall,
  ): Promise<BlobContent> {
    const content = await this.#base.read(name, range, options);
    this.#onRead(content.bytes.length);
    return content;
  }

  stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    return this.#base.stat(name, options);
  }

  list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    return this.#base.list(prefix, options);
  }

  #refuse(name: string): Promise<never> {
    const why = `${name} was not written: ${this.name} is only read by this command.`;
    return Promise.reject(new HoldfastError('internal', why, { target: name }));
  }
}
