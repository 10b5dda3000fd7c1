import { type ByteRange, GiB, HoldfastError, isHoldfastError, MiB } from '../model/index.ts';
import { DiskFailure, type DiskHttp } from './diskHttp.ts';
import { PageListParser, PageListSyntaxError } from './pageListParser.ts';

/** How much of the disk one request asks about. */
const LARGEST_STEP = 64 * GiB;
const SMALLEST_STEP = 128 * MiB;
/** Successes in a row before a step grows again, at most: a failure may cost the service's 30 s, a small step costs little. */
const MOST_PATIENCE = 8;

export interface PageRanges {
  /** Half-open, ascending, disjoint, touching ones joined. */
  readonly pages: ByteRange[];
  /** Differences only: ranges that read as zeros now. */
  readonly cleared: ByteRange[];
}

export interface ListOptions {
  /** SAS URL of the older snapshot: asks for differences. */
  readonly baseUrl?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lists the ranges of one snapshot, or its differences from another, by `comp=pagelist`.
 *
 * The official SDK is not used for this: its counts are one byte short, its paged calls send the wrong header for managed disks, the
 * unpaged one takes no marker, and its XML parser needs 2.4 KB a range. A fragmented window makes the service time out (500) however
 * often it is asked, so a window is halved on failure, down to 128 MiB, and grows back after successes: the more failures there were, the
 * more successes it takes. The step is remembered between calls.
 */
export class PageListClient {
  readonly #http: DiskHttp;
  readonly #largest: number;
  readonly #smallest: number;
  #step: number;
  #patience = 1;
  #successes = 0;

  constructor(http: DiskHttp, options: { largestStep?: number; smallestStep?: number } = {}) {
    this.#http = http;
    this.#largest = options.largestStep ?? LARGEST_STEP;
    this.#smallest = options.smallestStep ?? SMALLEST_STEP;
    this.#step = this.#largest;
  }

  /** The window's ranges, cut at the window. Throws what `DiskHttp.translate` says; `diffFailed` for a refused difference. */
  async list(window: ByteRange, options: ListOptions = {}): Promise<PageRanges> {
    const end = window.offset + window.length;
    const pages: ByteRange[] = [];
    const cleared: ByteRange[] = [];
    let at = window.offset;
    while (at < end) {
      const step = Math.min(this.#step, end - at);
      const found = await this.#listStep({ offset: at, length: step }, options);
      if (found === null) {
        this.#shrink(step);
        continue;
      }
      for (const range of found.pages) append(pages, range);
      for (const range of found.cleared) append(cleared, range);
      at += step;
      this.#grow();
    }
    return { pages, cleared };
  }

  #shrink(failed: number): void {
    this.#step = Math.max(this.#smallest, floorTo512(failed / 2));
    this.#patience = Math.min(this.#patience * 2, MOST_PATIENCE);
    this.#successes = 0;
  }

  #grow(): void {
    if (++this.#successes < this.#patience) return;
    this.#successes = 0;
    this.#step = Math.min(this.#largest, this.#step * 2);
    if (this.#step === this.#largest) this.#patience = 1;
  }

  /** One step; null when the service could not, and a smaller step may. */
  async #listStep(step: ByteRange, options: ListOptions): Promise<PageRanges | null> {
    const once = () => this.#ask(step, options);
    const what = options.baseUrl === undefined ? 'page list' : 'page list difference';
    try {
      if (step.length > this.#smallest) return await once();
      // As small as it gets: now time is what may help.
      return await this.#http.persist(once, { signal: options.signal });
    } catch (error) {
      if (error instanceof DiskFailure && error.transient && step.length > this.#smallest) {
        await this.#http.pause(error.retryAfterMs, options.signal);
        return null;
      }
      throw this.#translate(what, error, options.baseUrl !== undefined);
    }
  }

  /** All pages of one step's list: the service may go on by marker. */
  async #ask(step: ByteRange, options: ListOptions): Promise<PageRanges> {
    const pages: ByteRange[] = [];
    const cleared: ByteRange[] = [];
    const stepEnd = step.offset + step.length;
    let last = -1;
    const take = (start: number, inclusiveEnd: number, isClear: boolean) => {
      if (start <= last || inclusiveEnd < start) {
        throw new PageListSyntaxError(`The page list is not ascending at ${start}.`);
      }
      last = inclusiveEnd;
      const from = Math.max(start, step.offset);
      const to = Math.min(inclusiveEnd + 1, stepEnd);
      if (from < to) append(isClear ? cleared : pages, { offset: from, length: to - from });
    };
    const base = baseOf(options.baseUrl);
    const headers = { 'x-ms-range': `bytes=${step.offset}-${stepEnd - 1}`, ...base.headers };
    const seen = new Set<string>();
    let marker = '';
    do {
      const parser = new PageListParser(take);
      const list = `comp=pagelist${base.query}`;
      const query = marker === '' ? list : `${list}&marker=${encodeURIComponent(marker)}`;
      await this.#http.exchange({ method: 'GET', query, headers, signal: options.signal }, (chunk) =>
        parser.write(chunk),
      );
      marker = this.#end(parser);
      if (seen.has(marker)) throw new PageListSyntaxError('The page list goes on in a circle.');
      if (marker !== '') seen.add(marker);
    } while (marker !== '');
    return { pages, cleared };
  }

  /** A list that breaks off is a broken transfer. */
  #end(parser: PageListParser): string {
    try {
      return parser.end();
    } catch (error) {
      throw new DiskFailure(0, 'Truncated', (error as Error).message);
    }
  }

  #translate(what: string, error: unknown, isDiff: boolean): unknown {
    const refused =
      error instanceof DiskFailure && !error.transient && ![401, 403, 416].includes(error.status);
    if (isDiff && (refused || error instanceof PageListSyntaxError)) {
      const code = error instanceof DiskFailure ? error.code || `Http${error.status}` : 'UnexpectedAnswer';
      return new HoldfastError(
        'diffFailed',
        `${what} of ${this.#http.name}: the service refused it (${code}: ${error.message}). The disk must be read whole.`,
        { target: code },
      );
    }
    if (error instanceof PageListSyntaxError) {
      return new HoldfastError('internal', `${what} of ${this.#http.name}: ${error.message}`, {
        target: this.#http.name,
      });
    }
    return isHoldfastError(error) ? error : this.#http.translate(what, error);
  }
}

/**
 * How the older snapshot is named to the service: of a managed disk by its own SAS, in a header; of a page blob in a storage
 * account, whose SAS is by user delegation (`skoid`), by its time, and the SAS of the newer one is enough.
 */
function baseOf(baseUrl: string | undefined): { query: string; headers: Record<string, string> } {
  if (baseUrl === undefined) return { query: '', headers: {} };
  const asked = new URL(baseUrl).searchParams;
  const time = asked.get('snapshot');
  return asked.has('skoid') && time !== null
    ? { query: `&prevsnapshot=${encodeURIComponent(time)}`, headers: {} }
    : { query: '', headers: { 'x-ms-previous-snapshot-url': baseUrl } };
}

/** Adds a range that begins at or after the end of the last one; joins them when they touch. */
function append(ranges: ByteRange[], range: ByteRange): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.offset + last.length === range.offset) {
    ranges[ranges.length - 1] = { offset: last.offset, length: last.length + range.length };
  } else ranges.push(range);
}

const floorTo512 = (bytes: number): number => Math.max(512, Math.floor(bytes / 512) * 512);
