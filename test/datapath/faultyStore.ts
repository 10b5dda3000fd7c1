import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from '../../lib/repository/index.ts';
import { MemoryBlobStore } from '../../lib/repository/index.ts';

/** The process dies: every storage call from then on fails. Shared by the stores of one process. */
export class CrashPlan {
  calls = 0;
  fired = false;
  readonly #at: number;
  /** `before`: the call never arrives. `after`: it takes effect, and its answer is lost. */
  readonly #when: 'before' | 'after';

  constructor(at: number, when: 'before' | 'after') {
    this.#at = at;
    this.#when = when;
  }

  async run<T>(act: () => Promise<T>): Promise<T> {
    if (this.fired) throw new Crash();
    if (++this.calls !== this.#at) return act();
    if (this.#when === 'after') await act().catch(() => undefined);
    this.fired = true;
    throw new Crash();
  }
}

export class Crash extends Error {
  override readonly name = 'Crash';
}

export class CrashingStore implements BlobStore {
  readonly name: string;
  readonly inner: BlobStore;
  readonly #plan: CrashPlan;

  constructor(inner: BlobStore, plan: CrashPlan) {
    this.name = inner.name;
    this.inner = inner;
    this.#plan = plan;
  }

  create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    return this.#plan.run(() => this.inner.create(name, bytes, options));
  }

  replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    return this.#plan.run(() => this.inner.replace(name, bytes, etag, options));
  }

  read(name: string, range?: { offset: number; length: number }, options?: BlobCall): Promise<BlobContent> {
    return this.#plan.run(() => this.inner.read(name, range, options));
  }

  stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    return this.#plan.run(() => this.inner.stat(name, options));
  }

  async *list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    await this.#plan.run(() => Promise.resolve());
    yield* this.inner.list(prefix, options);
  }

  remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    return this.#plan.run(() => this.inner.remove(name, etag, options));
  }
}

/** A store with the same objects. */
export async function copyStore(store: BlobStore): Promise<MemoryBlobStore> {
  const copy = new MemoryBlobStore(store.name);
  for await (const { name } of store.list('')) await copy.create(name, (await store.read(name)).bytes);
  return copy;
}
