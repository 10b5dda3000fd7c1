import { createHash } from 'node:crypto';
import { BlobServiceClient, type PageBlobClient } from '@azure/storage-blob';
import { HoldfastError } from '../model/index.ts';
import { blobError } from './blobErrors.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { VHD_FOOTER_BYTES } from './vhdFooter.ts';
import { must } from './wire.ts';

const CALL_MS = 30_000;

/** A page blob, by the parts of its URL. */
export interface PageBlobName {
  /** Canonical: https, no query. What Holdfast calls the disk by. */
  readonly url: string;
  readonly account: string;
  readonly accountUrl: string;
  readonly container: string;
  readonly blob: string;
}

/** An unmanaged disk as its page blob shows it. */
export interface PageBlobDisk {
  readonly name: PageBlobName;
  /** What stands for a managed disk's `uniqueId` (ADR 0013). */
  readonly uniqueId: string;
  /** Without the VHD footer. */
  readonly sizeBytes: number;
  /** `P30`, ... in a premium account; null in a standard one. */
  readonly tier: string | null;
  /** ISO 8601. */
  readonly createdOn: string;
}

/** The page blobs that unmanaged disks are. Reads them with the app's identity; changes nothing. */
export class PageBlobs {
  readonly #connection: AzureConnection;
  readonly #services = new Map<string, BlobServiceClient>();

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  /** Whether `parse` takes it. */
  isBlob(uri: string): boolean {
    const url = URL.parse(uri);
    return url !== null && this.#connection.cloud.isBlobHost(url.hostname);
  }

  /**
   * Splits the `vhd.uri` of a machine. `diskUnsupported` for a host that is none of the cloud's blob services: it would be sent
   * a token of the app.
   */
  parse(uri: string): PageBlobName {
    const url = URL.parse(uri);
    const parts = url?.pathname.split('/').filter((part) => part !== '') ?? [];
    if (!url || !this.#connection.cloud.isBlobHost(url.hostname)) throw notABlob(uri);
    url.protocol = 'https:';
    // A local run has accounts in the path; Azure has them in the host's name.
    const inPath = /^[\d.]+$/.test(url.hostname);
    const account = inPath ? parts.shift() : url.hostname.split('.')[0];
    const container = parts.length === 1 ? '$root' : parts.shift();
    const blob = parts.map(decodeURIComponent).join('/');
    if (!account || !container || blob === '') throw notABlob(uri);
    const accountUrl = inPath ? `${url.origin}/${account}` : url.origin;
    return { url: `${url.origin}${url.pathname}`, account, accountUrl, container, blob };
  }

  client({ accountUrl, container, blob }: PageBlobName): PageBlobClient {
    return this.service(accountUrl).getContainerClient(container).getPageBlobClient(blob);
  }

  service(accountUrl: string): BlobServiceClient {
    const known = this.#services.get(accountUrl);
    if (known) return known;
    const made = new BlobServiceClient(accountUrl, this.#connection.credential, {
      retryOptions: { maxTries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 },
    });
    this.#services.set(accountUrl, made);
    return made;
  }

  /** The disk as it is now. `notFound`; `accessDenied`; `diskUnsupported` when the blob is no VHD. */
  async read(uri: string, options?: CallOptions): Promise<PageBlobDisk> {
    const name = this.parse(uri);
    const found = await this.run('look up', name, options, (abortSignal) =>
      this.client(name).getProperties({ abortSignal }),
    );
    const length = found.contentLength ?? 0;
    if (found.blobType !== 'PageBlob' || length <= VHD_FOOTER_BYTES || length % 512 !== 0) {
      throw new HoldfastError(
        'diskUnsupported',
        `${name.url} is a ${found.blobType ?? 'blob'} of ${length} bytes, not the page blob of a VHD.`,
        { target: name.url },
      );
    }
    const createdOn = must(found.createdOn, 'creation time', name.url).toISOString();
    return {
      name,
      uniqueId: identityOf(name, createdOn),
      sizeBytes: length - VHD_FOOTER_BYTES,
      tier: found.accessTier ?? null,
      createdOn,
    };
  }

  /** One call to storage about a blob, bounded in time, its failure said as Holdfast's error. */
  async run<T>(
    verb: string,
    name: PageBlobName,
    options: CallOptions | undefined,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limit = AbortSignal.timeout(CALL_MS);
    const signal = options?.signal ? AbortSignal.any([options.signal, limit]) : limit;
    try {
      return await call(signal);
    } catch (error) {
      throw advised(
        blobError(error, { verb, target: name.url, store: name.account, sasEnds: null }, options?.signal),
        name,
      );
    }
  }
}

/**
 * Account, container and name, and the moment of creation: what a blob that is deleted and made again does not share with the
 * one before. Not the ETag, which every write of the machine changes.
 */
function identityOf({ account, container, blob }: PageBlobName, createdOn: string): string {
  const text = [account.toLowerCase(), container, blob, createdOn].join('\n');
  return `vhd-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

function advised(error: HoldfastError, { account, url }: PageBlobName): HoldfastError {
  if (error.code === 'missingObject' || error.code === 'notConfigured') {
    return new HoldfastError('notFound', `The page blob ${url} does not exist.`, { target: url });
  }
  if (error.code !== 'accessDenied') return error;
  return new HoldfastError(
    'accessDenied',
    `${error.message} Unmanaged disks need the role "Holdfast Unmanaged Disks" on storage account ${account} ` +
      '(docs/limits.md), and its firewall must let the app and the workers in.',
    { target: url },
  );
}

function notABlob(uri: string): HoldfastError {
  const target = uri.replace(/\?.*$/s, '');
  const text = `"${target}" is not the URL of a blob in this cloud; nothing was sent to it.`;
  return new HoldfastError('diskUnsupported', text, { target });
}
