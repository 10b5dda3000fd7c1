import type { DiskSink, DiskSource, PageLists } from '../lib/datapath/ports.ts';
import { isHoldfastError, type JobSecrets } from '../lib/model/index.ts';
import type { BlobStore } from '../lib/repository/blobStore.ts';

/** A URL that was just renewed and is refused again is not tried for ever. */
const MAX_RENEWALS = 3;

/** The secrets of a job as they are now. Many reads that are refused at once ask for fresh ones once. */
export class Access {
  #secrets: JobSecrets;
  #renewing: Promise<void> | null = null;
  readonly #renew: () => Promise<JobSecrets>;

  constructor(secrets: JobSecrets, renew: () => Promise<JobSecrets>) {
    this.#secrets = secrets;
    this.#renew = renew;
  }

  get secrets(): JobSecrets {
    return this.#secrets;
  }

  /** Fresh ones came unasked. */
  update(secrets: JobSecrets): void {
    this.#secrets = secrets;
  }

  /** Replaces `refused`, unless that has happened since. */
  async replace(refused: JobSecrets): Promise<void> {
    if (this.#secrets !== refused) return;
    this.#renewing ??= this.#renew()
      .then((secrets) => this.update(secrets))
      .finally(() => {
        this.#renewing = null;
      });
    await this.#renewing;
  }
}

/** Something opened with a URL of the secrets, and opened anew when they change. */
class Renewed<T> {
  readonly #access: Access;
  readonly #open: (secrets: JobSecrets) => T;
  #from: JobSecrets | null = null;
  #inner: T | null = null;

  constructor(access: Access, open: (secrets: JobSecrets) => T) {
    this.#access = access;
    this.#open = open;
  }

  get inner(): T {
    if (this.#inner === null || this.#from !== this.#access.secrets) {
      this.#from = this.#access.secrets;
      this.#inner = this.#open(this.#from);
    }
    return this.#inner;
  }

  /** Runs a call; on `accessExpired` with fresh secrets again. */
  async call<R>(call: (inner: T) => Promise<R>): Promise<R> {
    for (let renewals = 0; ; renewals++) {
      const used = this.#access.secrets;
      try {
        return await call(this.inner);
      } catch (error) {
        if (!isHoldfastError(error, 'accessExpired') || renewals >= MAX_RENEWALS) throw error;
        await this.#access.replace(used);
      }
    }
  }
}

export function renewedStore(access: Access, open: (secrets: JobSecrets) => BlobStore): BlobStore {
  const store = new Renewed(access, open);
  return {
    name: store.inner.name,
    create: (...args) => store.call((inner) => inner.create(...args)),
    replace: (...args) => store.call((inner) => inner.replace(...args)),
    read: (...args) => store.call((inner) => inner.read(...args)),
    stat: (...args) => store.call((inner) => inner.stat(...args)),
    // A worker may not list: what is refused is refused.
    list: (...args) => store.inner.list(...args),
    remove: (...args) => store.call((inner) => inner.remove(...args)),
  };
}

export function renewedSource(
  access: Access,
  open: (secrets: JobSecrets) => DiskSource & PageLists,
): DiskSource & PageLists {
  const disk = new Renewed(access, open);
  return {
    sizeBytes: disk.inner.sizeBytes,
    read: (...args) => disk.call((inner) => inner.read(...args)),
    allocated: (...args) => disk.call((inner) => inner.allocated(...args)),
    changed: (...args) => disk.call((inner) => inner.changed(...args)),
  };
}

export function renewedSink(access: Access, open: (secrets: JobSecrets) => DiskSink): DiskSink {
  const disk = new Renewed(access, open);
  return {
    sizeBytes: disk.inner.sizeBytes,
    write: (...args) => disk.call((inner) => inner.write(...args)),
  };
}
