import { HoldfastError, isHoldfastError, MiB } from '../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from '../repository/blobStore.ts';
import { blobError } from './blobErrors.ts';
import { LARGEST_MIB, limited } from './blobLimits.ts';
import { endOfSas, storeName } from './containerUrl.ts';
import { type Answer, DiskFailure, DiskHttp, type DiskHttpOptions } from './diskHttp.ts';

const SERVICE_VERSION = '2021-12-02';

/**
 * A container behind a SAS that may create and read: what a worker has. As `AzureBlobStore`, without the SDK, whose downloads cost
 * six times the CPU (docs/performance.md), and without what a worker may not do. Bytes are not hashed again on their way: TLS
 * guards the transport, and every object is authenticated by what it holds.
 */
export class SasBlobStore implements BlobStore {
  readonly name: string;
  readonly #http: DiskHttp;
  readonly #sasEnds: Date;

  /** `sasUrl`: the container's URL with a SAS as its query. */
  constructor(sasUrl: string, options: DiskHttpOptions = {}) {
    const url = new URL(sasUrl);
    url.pathname = url.pathname.replace(/\/$/, '');
    this.#http = new DiskHttp(url.href, { serviceVersion: SERVICE_VERSION, tries: 4, ...options });
    this.#sasEnds = endOfSas(sasUrl);
    this.name = storeName(`${url.origin}${url.pathname}`);
  }

  create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    return this.#run('create', name, options, bytes.length / MiB, async (signal) => {
      const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const headers = {
        'x-ms-blob-type': 'BlockBlob',
        'if-none-match': '*',
        'content-type': 'application/octet-stream',
        'content-length': String(body.length),
      };
      try {
        const answer = await this.#http.persist(
          () => this.#http.exchange({ method: 'PUT', path: pathOf(name), headers, body, signal }, () => {}),
          { signal },
        );
        return versionOf(answer, name);
      } catch (error) {
        // Without the right to write, storage may look at rights before it looks at the condition.
        const refused = error instanceof DiskFailure && error.status === 403;
        if (!refused || (await this.stat(name, { signal }).catch(() => null)) === null) throw error;
        throw new HoldfastError('alreadyExists', `"${name}" exists in ${this.name} already.`, {
          target: name,
        });
      }
    });
  }

  async read(
    name: string,
    range?: { offset: number; length: number },
    options?: BlobCall,
  ): Promise<BlobContent> {
    if (range?.length === 0) return { ...(await this.#must(name, options)), bytes: Buffer.alloc(0) };
    const mib = range === undefined ? LARGEST_MIB : range.length / MiB;
    try {
      return await this.#run('read', name, options, mib, (signal) =>
        this.#read(name, range, signal, options?.into),
      );
    } catch (error) {
      // The port cuts a range at the object's end; storage refuses one that begins there.
      if (!isHoldfastError(error, 'invalidInput')) throw error;
      const info = await this.stat(name, options);
      if (info === null || (range?.offset ?? 0) < info.size) throw error;
      return { ...info, bytes: Buffer.alloc(0) };
    }
  }

  async #read(
    name: string,
    range: { offset: number; length: number } | undefined,
    signal: AbortSignal,
    into?: Buffer,
  ): Promise<BlobContent> {
    const headers: Record<string, string> = range
      ? { 'x-ms-range': `bytes=${range.offset}-${range.offset + range.length - 1}` }
      : {};
    return this.#http.persist(
      async () => {
        let bytes: Buffer = Buffer.alloc(0);
        const answer = await this.#http.read({ path: pathOf(name), headers, signal }, (_, length) => {
          if (range && length > range.length)
            throw new DiskFailure(0, 'TooLong', 'more bytes than asked for');
          bytes = into && into.length >= length ? into.subarray(0, length) : Buffer.allocUnsafeSlow(length);
          return bytes;
        });
        const total = header(answer, 'content-range')?.split('/')[1];
        return {
          name,
          bytes,
          size: total === undefined ? bytes.length : Number(total),
          ...versionOf(answer, name),
        };
      },
      { signal },
    );
  }

  async stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    try {
      return await this.#run('look up', name, options, 0, (signal) =>
        this.#http.persist(
          async () => {
            const answer = await this.#http.exchange(
              { method: 'HEAD', path: pathOf(name), headers: {}, signal },
              () => {},
            );
            return { name, size: Number(header(answer, 'content-length')), ...versionOf(answer, name) };
          },
          { signal },
        ),
      );
    } catch (error) {
      if (isHoldfastError(error, 'missingObject')) return null;
      throw error;
    }
  }

  async #must(name: string, options?: BlobCall): Promise<BlobInfo> {
    const info = await this.stat(name, options);
    if (info) return info;
    throw new HoldfastError('missingObject', `There is no "${name}" in ${this.name}.`, { target: name });
  }

  replace(name: string): Promise<BlobVersion> {
    return Promise.reject(this.#forbidden('replace', name));
  }

  // biome-ignore lint/correctness/useYield: the port's listing, which this SAS has no right to.
  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    throw this.#forbidden('list', prefix);
  }

  remove(name: string): Promise<void> {
    return Promise.reject(this.#forbidden('remove', name));
  }

  #forbidden(verb: string, target: string): HoldfastError {
    return new HoldfastError(
      'accessDenied',
      `${verb} "${target}" in ${this.name}: a worker's SAS may create and read only.`,
      { target },
    );
  }

  async #run<T>(
    verb: string,
    target: string,
    options: BlobCall | undefined,
    mib: number,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    try {
      return await limited(options, mib, call);
    } catch (error) {
      const context = { verb, target, store: this.name, sasEnds: this.#sasEnds };
      if (!(error instanceof DiskFailure)) throw blobError(error, context, options?.signal);
      const { status, code, message } = error;
      // Status 0: the connection broke, as often as it was tried.
      if (status === 0)
        throw new HoldfastError('unavailable', `${verb} "${target}" in ${this.name}: ${message}`, { target });
      throw blobError({ statusCode: status, code, message }, context, options?.signal);
    }
  }
}

const pathOf = (name: string): string => `/${name.split('/').map(encodeURIComponent).join('/')}`;

function header({ headers }: Answer, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function versionOf(answer: Answer, name: string): BlobVersion {
  const etag = header(answer, 'etag');
  const lastModified = header(answer, 'last-modified');
  if (etag && lastModified) return { etag, lastModified: new Date(lastModified) };
  throw new HoldfastError('internal', `Storage answered for "${name}" without its version.`, {
    target: name,
  });
}
