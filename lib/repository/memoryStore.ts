import { HoldfastError } from '../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from './blobStore.ts';
import { missingObject } from './damage.ts';

interface StoredBlob {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly lastModified: Date;
}

/** A container in memory, for tests and for looking at small repositories. */
export class MemoryBlobStore implements BlobStore {
  readonly name: string;
  readonly #now: () => Date;
  readonly #blobs = new Map<string, StoredBlob>();
  /** The names in `#blobs`, sorted, so that a listing costs what it finds. */
  readonly #names: string[] = [];
  #version = 0;

  constructor(name = 'memory', now: () => Date = () => new Date()) {
    this.name = name;
    this.#now = now;
  }

  #put(name: string, bytes: Uint8Array): BlobVersion {
    const blob = { bytes: Buffer.from(bytes), etag: `"${++this.#version}"`, lastModified: this.#now() };
    if (!this.#blobs.has(name)) this.#names.splice(this.#placeOf(name), 0, name);
    this.#blobs.set(name, blob);
    return { etag: blob.etag, lastModified: blob.lastModified };
  }

  #get(name: string): StoredBlob {
    const blob = this.#blobs.get(name);
    if (!blob) throw missingObject(name, this.name);
    return blob;
  }

  async create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    options?.signal?.throwIfAborted();
    if (this.#blobs.has(name)) throw alreadyExists(name, this.name);
    return this.#put(name, bytes);
  }

  async replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    options?.signal?.throwIfAborted();
    if (this.#blobs.get(name)?.etag !== etag) throw preconditionFailed(name, this.name);
    return this.#put(name, bytes);
  }

  async read(
    name: string,
    range?: { offset: number; length: number },
    options?: BlobCall,
  ): Promise<BlobContent> {
    options?.signal?.throwIfAborted();
    const { bytes, etag, lastModified } = this.#get(name);
    const { offset, length } = range ?? { offset: 0, length: bytes.length };
    return {
      name,
      size: bytes.length,
      etag,
      lastModified,
      bytes: Buffer.from(bytes.subarray(offset, offset + length)),
    };
  }

  async stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    options?.signal?.throwIfAborted();
    const blob = this.#blobs.get(name);
    return blob ? { name, size: blob.bytes.length, etag: blob.etag, lastModified: blob.lastModified } : null;
  }

  async *list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    const first = this.#placeOf(prefix);
    let end = first;
    while (this.#names[end]?.startsWith(prefix)) end++;
    for (const name of this.#names.slice(first, end)) {
      options?.signal?.throwIfAborted();
      const blob = this.#blobs.get(name);
      if (blob) yield { name, size: blob.bytes.length, etag: blob.etag, lastModified: blob.lastModified };
    }
  }

  async remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    options?.signal?.throwIfAborted();
    const blob = this.#blobs.get(name);
    if (!blob) return;
    if (etag !== undefined && blob.etag !== etag) throw preconditionFailed(name, this.name);
    this.#blobs.delete(name);
    this.#names.splice(this.#placeOf(name), 1);
  }

  /** Where a name is among the sorted ones, or would be. */
  #placeOf(name: string): number {
    let low = 0;
    for (let high = this.#names.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#names[middle] ?? '') < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export const alreadyExists = (name: string, where: string): HoldfastError =>
  new HoldfastError('alreadyExists', `The object ${name} exists in ${where} already.`, { target: name });

export const preconditionFailed = (name: string, where: string): HoldfastError =>
  new HoldfastError('preconditionFailed', `The object ${name} in ${where} was changed by somebody else.`, {
    target: name,
  });
