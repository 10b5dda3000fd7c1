import { HoldfastError, isHoldfastError } from '../../lib/model/index.ts';
import type {
  BlobContent,
  BlobInfo,
  BlobVersion,
  Lock,
  LockableStore,
  LockedInfo,
  VersionInfo,
} from '../../lib/repository/index.ts';
import { lockedUntil } from '../../lib/repository/index.ts';

interface Version {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly lastModified: Date;
  readonly version: string;
  current: boolean;
  lock: Lock | null;
}

/** A container with versions and locks, as a plain model of what the port promises. */
export class MemoryLockableStore implements LockableStore {
  readonly name: string;
  /** Locks that are answered as set, and are not: a service that takes the call and does nothing. */
  ignoreLocks = 0;
  readonly #now: () => Date;
  readonly #versions = new Map<string, Version[]>();
  #count = 0;

  constructor(name: string, now: () => Date) {
    this.name = name;
    this.#now = now;
  }

  #fail(code: 'missingObject' | 'alreadyExists' | 'preconditionFailed', name: string): HoldfastError {
    return new HoldfastError(code, `${name} in ${this.name}: ${code}`, { target: name });
  }

  #current(name: string): Version | undefined {
    return this.#versions.get(name)?.find(({ current }) => current);
  }

  #find(name: string, version?: string): Version {
    const found =
      version === undefined
        ? this.#current(name)
        : this.#versions.get(name)?.find((one) => one.version === version);
    if (!found) throw this.#fail('missingObject', name);
    return found;
  }

  #put(name: string, bytes: Uint8Array, lock: Lock | null): BlobVersion {
    const before = this.#current(name);
    if (before) before.current = false;
    const count = ++this.#count;
    const made: Version = {
      bytes: Buffer.from(bytes),
      etag: `"${count}"`,
      lastModified: this.#now(),
      version: String(count).padStart(8, '0'),
      current: true,
      lock,
    };
    this.#versions.set(name, [...(this.#versions.get(name) ?? []), made]);
    return { etag: made.etag, lastModified: made.lastModified };
  }

  async create(name: string, bytes: Uint8Array, options?: { signal?: AbortSignal | undefined }) {
    options?.signal?.throwIfAborted();
    if (this.#current(name)) throw this.#fail('alreadyExists', name);
    return this.#put(name, bytes, null);
  }

  async createLocked(name: string, bytes: Uint8Array, until: Date) {
    if (this.#current(name)) throw this.#fail('alreadyExists', name);
    return this.#put(name, bytes, { until, mode: 'locked' });
  }

  async replace(name: string, bytes: Uint8Array, etag: string) {
    if (this.#current(name)?.etag !== etag) throw this.#fail('preconditionFailed', name);
    return this.#put(name, bytes, null);
  }

  async read(
    name: string,
    range?: { offset: number; length: number },
    options?: { signal?: AbortSignal | undefined },
  ): Promise<BlobContent> {
    options?.signal?.throwIfAborted();
    const found = this.#find(name);
    const { offset, length } = range ?? { offset: 0, length: found.bytes.length };
    return { ...infoOf(name, found), bytes: Buffer.from(found.bytes.subarray(offset, offset + length)) };
  }

  async stat(name: string): Promise<BlobInfo | null> {
    const found = this.#current(name);
    return found ? infoOf(name, found) : null;
  }

  async *list(prefix: string): AsyncIterable<BlobInfo> {
    for await (const { name } of this.listLocks(prefix)) {
      const found = this.#current(name);
      if (found) yield infoOf(name, found);
    }
  }

  async remove(name: string, etag?: string): Promise<void> {
    const found = this.#current(name);
    if (!found) return;
    if (etag !== undefined && found.etag !== etag) throw this.#fail('preconditionFailed', name);
    found.current = false;
  }

  async extend(name: string, until: Date, version?: string): Promise<void> {
    const found = this.#find(name, version);
    if (this.ignoreLocks > 0) this.ignoreLocks--;
    else if (!found.lock || found.lock.until < until) found.lock = { until, mode: 'locked' };
  }

  /** What no service should do: the lock is gone. */
  unlock(name: string): void {
    this.#find(name).lock = null;
  }

  async lockOf(name: string, version?: string): Promise<Lock | null> {
    return this.#find(name, version).lock;
  }

  async *listLocks(prefix: string): AsyncIterable<LockedInfo> {
    for await (const { current, ...info } of this.listVersions(prefix)) if (current) yield info;
  }

  async *listVersions(prefix: string): AsyncIterable<VersionInfo> {
    for (const name of [...this.#versions.keys()].filter((one) => one.startsWith(prefix)).sort()) {
      for (const found of this.#versions.get(name) ?? []) {
        const { version, current, lock } = found;
        yield { ...infoOf(name, found), version, current, lock };
      }
    }
  }

  async readVersion(name: string, version: string): Promise<BlobContent> {
    const found = this.#find(name, version);
    return { ...infoOf(name, found), bytes: Buffer.from(found.bytes) };
  }

  async removeVersion(name: string, version: string): Promise<void> {
    try {
      const found = this.#find(name, version);
      if (found.lock && found.lock.until > this.#now()) throw lockedUntil(name, this.name, found.lock);
      const left = this.#versions.get(name)?.filter((one) => one !== found) ?? [];
      if (left.length > 0) this.#versions.set(name, left);
      else this.#versions.delete(name);
    } catch (error) {
      if (!isHoldfastError(error, 'missingObject')) throw error;
    }
  }
}

const infoOf = (name: string, { bytes, etag, lastModified }: Version): BlobInfo => ({
  name,
  size: bytes.length,
  etag,
  lastModified,
});
