import { createHash } from 'node:crypto';
import type { TokenCredential } from '@azure/core-auth';
import { type BlobClient, ContainerClient, type StoragePipelineOptions } from '@azure/storage-blob';
import { HoldfastError, isHoldfastError, MiB } from '../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobVersion } from '../repository/blobStore.ts';
import {
  type Lock,
  type LockableStore,
  type LockedInfo,
  lockedUntil,
  type VersionInfo,
} from '../repository/immutability/lockableStore.ts';
import { blobCall, LARGEST_MIB } from './blobLimits.ts';
import { AzureBlobStore } from './blobs.ts';

const OPTIONS: StoragePipelineOptions = {
  retryOptions: { maxTries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 },
};
const PAGE = 5000;

/**
 * A container with version-level immutability (and versioning, which that needs). The identity needs, beside the rights to
 * blobs, `blobs/immutableStorage/runAsSuperUser/action` for policies (Storage Blob Data Owner has it).
 */
export class AzureLockableStore implements LockableStore {
  readonly #plain: AzureBlobStore;
  readonly #container: ContainerClient;
  readonly #mode: Lock['mode'];

  /** `mode`: `locked` unless somebody tries it out; a lock of that mode is for good. */
  constructor(containerUrl: string, credential: TokenCredential, mode: Lock['mode'] = 'locked') {
    this.#plain = AzureBlobStore.withCredential(containerUrl, credential);
    this.#container = new ContainerClient(containerUrl, credential, OPTIONS);
    this.#mode = mode;
  }

  /**
   * Whether versions of this container can be locked, by what the service says of it: a lock that is set elsewhere is an error,
   * or worse, is taken and not kept. `notConfigured` when there is no such container.
   */
  canLock(options?: BlobCall): Promise<boolean> {
    return this.#run('look up', this.name, options, 0, async (abortSignal) => {
      const found = await this.#container.getProperties({ abortSignal });
      return found.isImmutableStorageWithVersioningEnabled === true;
    });
  }

  get name(): string {
    return this.#plain.name;
  }

  ensureContainer(options?: BlobCall): Promise<void> {
    return this.#plain.ensureContainer(options);
  }

  create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    return this.#plain.create(name, bytes, options);
  }

  replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    return this.#plain.replace(name, bytes, etag, options);
  }

  read(name: string, range?: { offset: number; length: number }, options?: BlobCall): Promise<BlobContent> {
    return this.#plain.read(name, range, options);
  }

  stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    return this.#plain.stat(name, options);
  }

  list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    return this.#plain.list(prefix, options);
  }

  remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    return this.#plain.remove(name, etag, options);
  }

  createLocked(name: string, bytes: Uint8Array, until: Date, options?: BlobCall): Promise<BlobVersion> {
    const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const md5 = createHash('md5').update(body).digest();
    return this.#run('create', name, options, body.length / MiB, async (abortSignal) =>
      versionOf(
        name,
        await this.#container.getBlockBlobClient(name).upload(body, body.length, {
          abortSignal,
          conditions: { ifNoneMatch: '*' },
          blobHTTPHeaders: { blobContentMD5: md5 },
          transactionalContentMD5: md5,
          immutabilityPolicy: this.#policy(until),
        }),
      ),
    );
  }

  async extend(name: string, until: Date, version?: string, options?: BlobCall): Promise<void> {
    const now = await this.lockOf(name, version, options);
    if (now && now.until.getTime() >= until.getTime() && (now.mode === this.#mode || now.mode === 'locked'))
      return;
    const later = now && now.until > until ? now.until : until;
    await this.#run('lock', name, options, 0, (abortSignal) =>
      this.#blob(name, version).setImmutabilityPolicy(this.#policy(later), { abortSignal }),
    );
  }

  async lockOf(name: string, version?: string, options?: BlobCall): Promise<Lock | null> {
    return (await this.#look(name, version, options)).held;
  }

  async *listLocks(prefix: string, options?: BlobCall): AsyncIterable<LockedInfo> {
    for await (const { current: _, ...info } of this.#versions(prefix, false, options)) yield info;
  }

  async *listVersions(prefix: string, options?: BlobCall): AsyncIterable<VersionInfo> {
    // Those of one name come together, in whatever order.
    let together: VersionInfo[] = [];
    for await (const info of this.#versions(prefix, true, options)) {
      if (together[0] && together[0].name !== info.name) {
        yield* together.sort(byVersion);
        together = [];
      }
      together.push(info);
    }
    yield* together.sort(byVersion);
  }

  async readVersion(name: string, version: string, options?: BlobCall): Promise<BlobContent> {
    return this.#run('read', name, options, LARGEST_MIB, async (abortSignal) => {
      const client = this.#blob(name, version);
      const { contentLength = 0, ...found } = await client.getProperties({ abortSignal });
      const bytes =
        contentLength === 0
          ? Buffer.alloc(0)
          : await client.downloadToBuffer(0, contentLength, { abortSignal });
      return { name, size: bytes.length, bytes, ...versionOf(name, found) };
    });
  }

  async removeVersion(name: string, version: string, options?: BlobCall): Promise<void> {
    try {
      // Asked first: a current version must be hidden before it can go, and what is locked is not to be hidden.
      const { held, date, current } = await this.#look(name, version, options);
      if (held && held.until > date) throw lockedUntil(name, this.name, held);
      if (current !== null) await this.#plain.remove(name, current, options);
      await this.#run('remove', name, options, 0, (abortSignal) =>
        this.#blob(name, version).delete({ abortSignal }),
      );
    } catch (error) {
      if (isHoldfastError(error, 'missingObject')) return;
      if (!isHoldfastError(error, 'conflict')) throw error;
      // Locked meanwhile, or by another clock than the one that answered.
      const { held } = await this.#look(name, version, options);
      throw held ? lockedUntil(name, this.name, held) : error;
    }
  }

  /** `date`: the store's clock, by its answer. `current`: the etag, if this is the current version. */
  async #look(
    name: string,
    version: string | undefined,
    options?: BlobCall,
  ): Promise<{ held: Lock | null; date: Date; current: string | null }> {
    return this.#run('look up', name, options, 0, async (abortSignal) => {
      const found = await this.#blob(name, version).getProperties({ abortSignal });
      return {
        held: lock(found.immutabilityPolicyExpiresOn, found.immutabilityPolicyMode),
        date: found.date ?? new Date(),
        current: found.isCurrentVersion ? versionOf(name, found).etag : null,
      };
    });
  }

  async *#versions(prefix: string, all: boolean, options?: BlobCall): AsyncIterable<VersionInfo> {
    let continuationToken: string | undefined;
    do {
      const page = await this.#run('list', prefix, options, 0, async (abortSignal) => {
        const pages = this.#container
          .listBlobsFlat({ prefix, abortSignal, includeVersions: true, includeImmutabilityPolicy: true })
          .byPage({ maxPageSize: PAGE, ...(continuationToken ? { continuationToken } : {}) });
        return (await pages.next()).value;
      });
      for (const { name, properties, versionId, isCurrentVersion } of page?.segment.blobItems ?? []) {
        const current = isCurrentVersion === true;
        if (!all && !current) continue;
        if (versionId === undefined) throw this.#noVersions();
        yield {
          name,
          size: properties.contentLength ?? 0,
          ...versionOf(name, properties),
          version: versionId,
          current,
          lock: lock(properties.immutabilityPolicyExpiresOn, properties.immutabilityPolicyMode),
        };
      }
      continuationToken = page?.continuationToken;
    } while (continuationToken);
  }

  #blob(name: string, version?: string): BlobClient {
    const client = this.#container.getBlobClient(name);
    return version === undefined ? client : client.withVersion(version);
  }

  #policy(until: Date): { expiriesOn: Date; policyMode: 'Locked' | 'Unlocked' } {
    return { expiriesOn: until, policyMode: this.#mode === 'locked' ? 'Locked' : 'Unlocked' };
  }

  #noVersions(): HoldfastError {
    return new HoldfastError(
      'notConfigured',
      `The container ${this.name} keeps no versions. Turn on versioning and version-level immutability for it, or use the repository without immutability.`,
      { target: this.name },
    );
  }

  #run<T>(
    verb: string,
    target: string,
    options: BlobCall | undefined,
    mib: number,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return blobCall({ verb, target, store: this.name, sasEnds: null }, options, mib, call);
  }
}

const byVersion = (a: VersionInfo, b: VersionInfo): number =>
  a.version < b.version ? -1 : a.version > b.version ? 1 : 0;

const lock = (until: Date | undefined, mode: string | undefined): Lock | null =>
  until === undefined ? null : { until, mode: mode?.toLowerCase() === 'locked' ? 'locked' : 'unlocked' };

function versionOf(
  name: string,
  { etag, lastModified }: { etag?: string; lastModified?: Date },
): BlobVersion {
  if (!etag || !lastModified) {
    throw new HoldfastError('internal', `Storage answered for "${name}" without its version.`, {
      target: name,
    });
  }
  return { etag: /^(W\/)?"/.test(etag) ? etag : `"${etag}"`, lastModified };
}
