import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from '../blobStore.ts';
import type { LockableStore } from './lockableStore.ts';

/** The meta container, in which announced objects are created with their lock in the very request that creates them. */
export class LockingMeta implements BlobStore {
  readonly name: string;
  readonly #store: LockableStore;
  readonly #view: BlobStore;
  readonly #next = new Map<string, Date>();

  /** `view`: what everything else goes to; the store itself, or a view of its versions. */
  constructor(store: LockableStore, view: BlobStore = store) {
    this.name = store.name;
    this.#store = store;
    this.#view = view;
  }

  /** The next create of this name is locked until then. */
  lockNext(name: string, until: Date): void {
    this.#next.set(name, until);
  }

  async create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    const until = this.#next.get(name);
    if (until === undefined) return this.#view.create(name, bytes, options);
    const created = await this.#store.createLocked(name, bytes, until, options);
    this.#next.delete(name);
    return created;
  }

  replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    return this.#view.replace(name, bytes, etag, options);
  }

  read(name: string, range?: { offset: number; length: number }, options?: BlobCall): Promise<BlobContent> {
    return this.#view.read(name, range, options);
  }

  stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    return this.#view.stat(name, options);
  }

  list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    return this.#view.list(prefix, options);
  }

  remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    return this.#view.remove(name, etag, options);
  }
}
