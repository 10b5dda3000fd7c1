import { createHash } from 'node:crypto';
import type { TokenCredential } from '@azure/core-auth';
import { ContainerClient, type StoragePipelineOptions } from '@azure/storage-blob';
import { HoldfastError, isHoldfastError, MiB } from '../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from '../repository/blobStore.ts';
import { blobCall, LARGEST_MIB } from './blobLimits.ts';
import { endOfSas, storeName } from './containerUrl.ts';

const OPTIONS: StoragePipelineOptions = {
  // Retried: 500, 503 and broken sockets; 0.5, 1.5, 3.5 s apart.
  retryOptions: { maxTries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 },
};
const PAGE = 5000;

/**
 * A container of Azure Blob Storage. With a credential for the service itself, with a container SAS in the URL for workers. A worker's SAS
 * may create and read only: other calls then throw `accessDenied`.
 */
export class AzureBlobStore implements BlobStore {
  readonly name: string;
  readonly #container: ContainerClient;
  readonly #sasEnds: Date | null;

  private constructor(container: ContainerClient, sasEnds: Date | null) {
    this.#container = container;
    this.#sasEnds = sasEnds;
    this.name = storeName(container.url);
  }

  /** `containerUrl`: `https://account.blob.core.windows.net/container`, or path-style for a local run. */
  static withCredential(containerUrl: string, credential: TokenCredential): AzureBlobStore {
    return new AzureBlobStore(new ContainerClient(containerUrl, credential, OPTIONS), null);
  }

  /** `sasUrl`: the container's URL with a SAS as its query. */
  static withSas(sasUrl: string): AzureBlobStore {
    return new AzureBlobStore(new ContainerClient(sasUrl, undefined, OPTIONS), endOfSas(sasUrl));
  }

  /** Makes the container if it is missing (a new repository; a local run). Needs a credential. */
  async ensureContainer(options?: BlobCall): Promise<void> {
    await this.#run('make container', this.name, options, 0, (abortSignal) =>
      this.#container.createIfNotExists({ abortSignal }),
    );
  }

  async create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    try {
      return await this.#put('create', name, bytes, { ifNoneMatch: '*' }, options);
    } catch (error) {
      // Without the right to write, storage may look at rights before it looks at the condition.
      if (this.#sasEnds === null || !isHoldfastError(error, 'accessDenied')) throw error;
      if ((await this.stat(name, options).catch(() => null)) === null) throw error;
      throw new HoldfastError('alreadyExists', `"${name}" exists in ${this.name} already.`, { target: name });
    }
  }

  replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    return this.#put('replace', name, bytes, { ifMatch: etag }, options);
  }

  async read(
    name: string,
    range?: { offset: number; length: number },
    options?: BlobCall,
  ): Promise<BlobContent> {
    const mib = range === undefined ? LARGEST_MIB : range.length / MiB;
    try {
      return await this.#run('read', name, options, mib, (signal) => this.#download(name, range, signal));
    } catch (error) {
      // The port cuts a range at the object's end; storage refuses one that begins there.
      if (range === undefined || !isHoldfastError(error, 'invalidInput')) throw error;
      const info = await this.stat(name, options);
      if (info === null || range.offset < info.size) throw error;
      return { ...info, bytes: Buffer.alloc(0) };
    }
  }

  async stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    try {
      return await this.#run('look up', name, options, 0, async (abortSignal) => {
        const found = await this.#container.getBlobClient(name).getProperties({ abortSignal });
        return { name, size: found.contentLength ?? 0, ...version(found, name) };
      });
    } catch (error) {
      if (isHoldfastError(error, 'missingObject')) return null;
      throw error;
    }
  }

  async *list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    let continuationToken: string | undefined;
    do {
      const page = await this.#run('list', prefix, options, 0, async (abortSignal) => {
        const pages = this.#container
          .listBlobsFlat({ prefix, abortSignal })
          .byPage({ maxPageSize: PAGE, ...(continuationToken ? { continuationToken } : {}) });
        return (await pages.next()).value;
      });
      for (const { name, properties } of page?.segment.blobItems ?? []) {
        yield { name, size: properties.contentLength ?? 0, ...version(properties, name) };
      }
      continuationToken = page?.continuationToken;
    } while (continuationToken);
  }

  async remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    try {
      await this.#run('remove', name, options, 0, (abortSignal) =>
        this.#container
          .getBlobClient(name)
          .delete({ abortSignal, conditions: etag === undefined ? {} : { ifMatch: etag } }),
      );
    } catch (error) {
      if (isHoldfastError(error, 'missingObject')) return;
      // A condition on what is not there fails too.
      const gone = isHoldfastError(error, 'preconditionFailed') && (await this.stat(name, options)) === null;
      if (!gone) throw error;
    }
  }

  async #download(
    name: string,
    range: { offset: number; length: number } | undefined,
    abortSignal: AbortSignal,
  ): Promise<BlobContent> {
    const answer = await this.#container
      .getBlobClient(name)
      .download(range?.offset ?? 0, range?.length, { abortSignal, maxRetryRequests: 3 });
    const bytes = await collect(answer.readableStreamBody, answer.contentLength ?? 0, name);
    const total = answer.contentRange?.split('/')[1];
    return {
      name,
      bytes,
      size: total === undefined ? bytes.length : Number(total),
      ...version(answer, name),
    };
  }

  #put(
    verb: 'create' | 'replace',
    name: string,
    bytes: Uint8Array,
    conditions: { ifNoneMatch?: string; ifMatch?: string },
    options?: BlobCall,
  ): Promise<BlobVersion> {
    const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const md5 = createHash('md5').update(body).digest();
    return this.#run(verb, name, options, body.length / MiB, async (abortSignal) =>
      version(
        await this.#container.getBlockBlobClient(name).upload(body, body.length, {
          abortSignal,
          conditions,
          // Storage compares it with what arrived, and keeps it.
          blobHTTPHeaders: { blobContentMD5: md5 },
          transactionalContentMD5: md5,
        }),
        name,
      ),
    );
  }

  #run<T>(
    verb: string,
    target: string,
    options: BlobCall | undefined,
    mib: number,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return blobCall({ verb, target, store: this.name, sasEnds: this.#sasEnds }, options, mib, call);
  }
}

/** Listings give etags without their quotes, headers with them: they are kept with. */
function version(from: { etag?: string; lastModified?: Date }, name: string): BlobVersion {
  const { etag, lastModified } = from;
  if (!etag || !lastModified) {
    throw new HoldfastError('internal', `Storage answered for "${name}" without its version.`, {
      target: name,
    });
  }
  return { etag: /^(W\/)?"/.test(etag) ? etag : `"${etag}"`, lastModified };
}

async function collect(
  stream: NodeJS.ReadableStream | undefined,
  length: number,
  name: string,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for await (const chunk of stream ?? []) {
    const piece = chunk as Buffer;
    if (at + piece.length > length) at = Number.POSITIVE_INFINITY;
    else at += piece.copy(bytes, at);
  }
  if (at !== length) {
    throw new HoldfastError('unavailable', `"${name}": the answer broke off before its end.`, {
      target: name,
    });
  }
  return bytes;
}
