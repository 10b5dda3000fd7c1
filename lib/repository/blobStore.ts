/**
 * A container of blobs, as the repository needs it. Names are `/`-separated; bodies are whole objects, written once in one
 * call. Implementations: memory (tests), a local folder (offline tool), Azure Blob Storage.
 *
 * Contract
 * - A write is atomic: a reader sees all of it or none of it, and once acknowledged it stays.
 * - `create` may be called again after a lost answer: `alreadyExists` then may mean one's own first try. The caller decides
 *   by reading the object; the store does not guess.
 * - `etag` is opaque and changes with each write of that name.
 * - Every method throws `HoldfastError` (`missingObject`, `alreadyExists`, `preconditionFailed`, `accessDenied`,
 *   `accessExpired`, `throttled`, `unavailable`, `timeout`) with the object's name as target and without any SAS.
 */
export interface BlobStore {
  /** For messages: account and container, never a signature. */
  readonly name: string;
  /** Creates the object; `alreadyExists` if the name is taken. */
  create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion>;
  /** Replaces the object if it still has this etag, else `preconditionFailed`. */
  replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion>;
  /** Reads the object, or `length` bytes of it from `offset`. A range that ends past the object is cut there. */
  read(name: string, range?: { offset: number; length: number }, options?: BlobCall): Promise<BlobContent>;
  /** Null if there is no such object. */
  stat(name: string, options?: BlobCall): Promise<BlobInfo | null>;
  /** All objects whose names begin with `prefix`, in name order, streamed. */
  list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo>;
  /** Removes the object, if it still has this etag where one is given. A missing object is no error. */
  remove(name: string, etag?: string, options?: BlobCall): Promise<void>;
}

export interface BlobCall {
  readonly signal?: AbortSignal | undefined;
  /** Of `read`: memory that a store may use for the bytes, where they fit into it. They need not be there. */
  readonly into?: Buffer | undefined;
}

export interface BlobVersion {
  readonly etag: string;
  /** The store's clock, for rules of age. */
  readonly lastModified: Date;
}

export interface BlobInfo extends BlobVersion {
  readonly name: string;
  readonly size: number;
}

export interface BlobContent extends BlobInfo {
  readonly bytes: Buffer;
}
