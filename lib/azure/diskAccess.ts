import { createHash } from 'node:crypto';
import type { DiskSink, DiskSource, PageLists } from '../datapath/ports.ts';
import { type ByteRange, HoldfastError, MiB } from '../model/index.ts';
import { type Answer, DiskFailure, DiskHttp, type DiskHttpOptions } from './diskHttp.ts';
import { PageListClient } from './pageList.ts';
import { vhdFooter } from './vhdFooter.ts';

export { closeDiskConnections, type DiskHttpOptions } from './diskHttp.ts';

export interface SnapshotAccess {
  /** SAS URL (Read) of the snapshot. A secret. */
  readonly sourceUrl: string;
  /** SAS URL (Read) of the snapshot to compare with; without it `changed` cannot be asked. */
  readonly baseUrl?: string | null | undefined;
  /** Of the disk. What the service shows beyond it is the VHD footer, and is cut off. */
  readonly sizeBytes: number;
}

export interface DiskOptions extends DiskHttpOptions {
  /** How much of the disk one page list asks about, at most and at least. */
  readonly largestStep?: number;
  readonly smallestStep?: number;
}

/** Azure's limit for one Put Page. */
const MAX_PUT_BYTES = 4 * MiB;

/** A snapshot behind a read SAS: its bytes and its page lists. Needs URLs only; holds no state but the page list's window. */
export class SnapshotDisk implements DiskSource, PageLists {
  readonly sizeBytes: number;
  readonly #http: DiskHttp;
  readonly #lists: PageListClient;
  readonly #baseUrl: string | undefined;

  constructor(access: SnapshotAccess, options: DiskOptions = {}) {
    const { largestStep, smallestStep, ...http } = options;
    this.sizeBytes = access.sizeBytes;
    this.#baseUrl = access.baseUrl ?? undefined;
    this.#http = new DiskHttp(access.sourceUrl, http);
    this.#lists = new PageListClient(this.#http, {
      ...(largestStep === undefined ? {} : { largestStep }),
      ...(smallestStep === undefined ? {} : { smallestStep }),
    });
  }

  /** One GET into one buffer; after a broken transfer only the rest is asked for. */
  async read(offset: number, length: number, signal?: AbortSignal, into?: Buffer): Promise<Buffer> {
    checkRange(offset, length, this.sizeBytes, this.#http.name);
    const bytes = into && into.length >= length ? into.subarray(0, length) : Buffer.allocUnsafe(length);
    let got = 0;
    let before = 0;
    const attempt = async () => {
      before = got;
      const first = offset + got;
      const last = offset + length - 1;
      await this.#http.read(
        { headers: { 'x-ms-range': `bytes=${first}-${last}` }, signal },
        (answer, answered) => {
          checkAnswer(answer, first, last);
          if (answered > length - before) throw new DiskFailure(0, 'TooLong', 'more bytes than asked for');
          return bytes.subarray(before);
        },
        (more) => {
          got = before + more;
        },
      );
      if (got < length) throw new DiskFailure(0, 'TooShort', `${length - got} bytes are missing`);
    };
    try {
      if (length > 0) await this.#http.persist(attempt, { signal, progressed: () => got - before >= MiB });
      return bytes;
    } catch (error) {
      throw this.#http.translate(`read at ${offset}`, error);
    }
  }

  async allocated(window: ByteRange, signal?: AbortSignal): Promise<ByteRange[]> {
    const { pages } = await this.#lists.list(this.#cut(window), { signal });
    return pages;
  }

  async changed(
    window: ByteRange,
    signal?: AbortSignal,
  ): Promise<{ changed: ByteRange[]; cleared: ByteRange[] }> {
    if (this.#baseUrl === undefined) {
      throw new HoldfastError('invalidInput', 'Differences need the SAS of a base snapshot.', {
        target: this.#http.name,
      });
    }
    const found = await this.#lists.list(this.#cut(window), { baseUrl: this.#baseUrl, signal });
    return { changed: found.pages, cleared: found.cleared };
  }

  #cut(window: ByteRange): ByteRange {
    const offset = Math.min(window.offset, this.sizeBytes);
    return { offset, length: Math.min(window.length, this.sizeBytes - offset) };
  }
}

export interface UploadAccess {
  /** SAS URL (Write) of the disk. A secret. */
  readonly targetUrl: string;
  /** Of the disk to be, without the footer. */
  readonly sizeBytes: number;
}

export interface UploadOptions extends DiskHttpOptions {
  /**
   * Send the MD5 of every page, which the service compares. Off by default: it costs more CPU than the whole restore beside it
   * (docs/performance.md), and TLS guards the transport.
   */
  readonly md5?: boolean;
}

/** A disk in upload, behind a write SAS. */
export class UploadDisk implements DiskSink {
  readonly sizeBytes: number;
  readonly #http: DiskHttp;
  readonly #md5: boolean;

  constructor(access: UploadAccess, options: UploadOptions = {}) {
    const { md5 = false, ...http } = options;
    this.sizeBytes = access.sizeBytes;
    this.#md5 = md5;
    this.#http = new DiskHttp(access.targetUrl, http);
  }

  async write(offset: number, bytes: Buffer, signal?: AbortSignal): Promise<void> {
    checkRange(offset, bytes.length, this.sizeBytes, this.#http.name);
    for (let at = 0; at < bytes.length; at += MAX_PUT_BYTES) {
      await this.#put(offset + at, bytes.subarray(at, at + MAX_PUT_BYTES), signal);
    }
  }

  /** The VHD footer behind the disk's last byte: without it Azure refuses the disk when access is revoked. May be repeated. */
  async writeFooter(signal?: AbortSignal): Promise<void> {
    await this.#put(this.sizeBytes, vhdFooter(this.sizeBytes), signal);
  }

  async #put(offset: number, body: Buffer, signal?: AbortSignal): Promise<void> {
    const headers = {
      'x-ms-page-write': 'update',
      'x-ms-range': `bytes=${offset}-${offset + body.length - 1}`,
      'content-length': String(body.length),
      'content-type': 'application/octet-stream',
      ...(this.#md5 ? { 'content-md5': createHash('md5').update(body).digest('base64') } : {}),
    };
    const attempt = async () => {
      try {
        await this.#http.exchange({ method: 'PUT', query: 'comp=page', headers, body, signal }, () => {});
      } catch (error) {
        // Damaged on the way: the same bytes again.
        if (error instanceof DiskFailure && error.code === 'Md5Mismatch') {
          throw new DiskFailure(0, error.code, error.message);
        }
        throw error;
      }
    };
    try {
      await this.#http.persist(attempt, { signal });
    } catch (error) {
      throw this.#http.translate(`write at ${offset}`, error);
    }
  }
}

/** A range answer must be the range asked for: anything else would put right bytes in wrong places. */
function checkAnswer({ status, headers }: Answer, first: number, last: number): void {
  const range = String(headers['content-range'] ?? '');
  if (status === 206 && range.startsWith(`bytes ${first}-${last}/`)) return;
  throw new HoldfastError('internal', `Asked for bytes ${first}-${last}, answered ${status} "${range}".`);
}

function checkRange(offset: number, length: number, sizeBytes: number, target: string): void {
  if (offset % 512 === 0 && length % 512 === 0 && offset >= 0 && length >= 0 && offset + length <= sizeBytes)
    return;
  throw new HoldfastError(
    'invalidInput',
    `Bytes ${offset} to ${offset + length} are not whole sectors of a disk of ${sizeBytes} bytes.`,
    { target },
  );
}
