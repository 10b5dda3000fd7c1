import { isHoldfastError } from '../../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from '../blobStore.ts';
import { missingObject } from '../damage.ts';
import { alreadyExists, preconditionFailed } from '../memoryStore.ts';
import type { Judge, Rank } from './judge.ts';
import type { LockableStore, VersionInfo } from './lockableStore.ts';

/**
 * A container with versions, seen as the repository left it: for each name the version that counts, whatever was put on top
 * of it, and also where it was removed by name. What is replaced through it goes, unless it is locked. A name with one version, current, is taken as it is: opening it tells whether
 * it is authentic. Others are read whole and judged, which is slow and rare.
 */
export class VersionedView implements BlobStore {
  readonly name: string;
  readonly #store: LockableStore;
  readonly #judge: Judge;

  constructor(store: LockableStore, judge: Judge) {
    this.name = store.name;
    this.#store = store;
    this.#judge = judge;
  }

  async create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    if (await this.#chosen(name, options)) throw alreadyExists(name, this.name);
    const there = (await this.#versions(name, options)).find(({ current }) => current);
    if (!there) return this.#store.create(name, bytes, options);
    try {
      // What is on top is nobody's: it becomes an older version.
      return await this.#store.replace(name, bytes, there.etag, options);
    } catch (error) {
      if (isHoldfastError(error, 'preconditionFailed')) throw alreadyExists(name, this.name);
      throw error;
    }
  }

  async replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    const versions = await this.#versions(name, options);
    const chosen = await this.#choose(versions, options);
    if (chosen?.etag !== etag) throw preconditionFailed(name, this.name);
    const there = versions.find(({ current }) => current);
    const written = there
      ? await this.#store.replace(name, bytes, there.etag, options)
      : await this.#store.create(name, bytes, options);
    // What is renewed every few minutes must not leave a version each time. A locked one stays, and loses.
    await this.#store.removeVersion(name, chosen.version, options).catch(() => undefined);
    return written;
  }

  async read(
    name: string,
    range?: { offset: number; length: number },
    options?: BlobCall,
  ): Promise<BlobContent> {
    const versions = await this.#versions(name, options);
    const [only] = versions;
    if (versions.length === 1 && only?.current) return this.#store.read(name, range, options);
    const chosen = await this.#choose(versions, options);
    if (!chosen) throw missingObject(name, this.name);
    const whole = await this.#store.readVersion(name, chosen.version, options);
    if (!range) return whole;
    return { ...whole, bytes: whole.bytes.subarray(range.offset, range.offset + range.length) };
  }

  async stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    const chosen = await this.#chosen(name, options);
    return chosen ? infoOf(chosen) : null;
  }

  async *list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    let together: VersionInfo[] = [];
    const settle = async (): Promise<BlobInfo[]> => {
      const chosen = await this.#choose(together, options);
      return chosen ? [infoOf(chosen)] : [];
    };
    for await (const version of this.#store.listVersions(prefix, options)) {
      if (together[0] && together[0].name !== version.name) {
        yield* await settle();
        together = [];
      }
      together.push(version);
    }
    yield* await settle();
  }

  /** Ends all versions of the object, none of which may be locked: `conflict` with the date, and nothing is touched. */
  async remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    const versions = await this.#versions(name, options);
    if (versions.length === 0) return;
    const chosen = await this.#choose(versions, options);
    if (etag !== undefined && chosen?.etag !== etag) throw preconditionFailed(name, this.name);
    // The version that counts goes first: its lock is the one that matters, and the store judges it by its own clock.
    if (chosen) await this.#store.removeVersion(name, chosen.version, options);
    for (const { version } of versions) {
      if (version !== chosen?.version) await this.#store.removeVersion(name, version, options);
    }
  }

  async #chosen(name: string, options?: BlobCall): Promise<VersionInfo | null> {
    return this.#choose(await this.#versions(name, options), options);
  }

  async #choose(versions: readonly VersionInfo[], options?: BlobCall): Promise<VersionInfo | null> {
    const [only] = versions;
    if (versions.length === 1 && only?.current) return only;
    let best: { info: VersionInfo; rank: Rank } | null = null;
    for (const info of versions) {
      const { bytes } = await this.#store.readVersion(info.name, info.version, options);
      const rank = this.#judge(info.name, bytes);
      if (!rank) continue;
      const better =
        !best || rank.rank > best.rank.rank || (rank.rank === best.rank.rank && rank.of === 'newest');
      if (better) best = { info, rank };
    }
    return best?.info ?? null;
  }

  async #versions(name: string, options?: BlobCall): Promise<VersionInfo[]> {
    const versions: VersionInfo[] = [];
    for await (const info of this.#store.listVersions(name, options))
      if (info.name === name) versions.push(info);
    return versions;
  }
}

const infoOf = ({ name, size, etag, lastModified }: VersionInfo): BlobInfo => ({
  name,
  size,
  etag,
  lastModified,
});
