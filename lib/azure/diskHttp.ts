/**
 * HTTP to the bytes behind a SAS: one exchange, and the rules of trying again. Bodies of known length are read by `rangedGet`; all else
 * goes through undici's `dispatch`. Nothing here knows ARM: a worker has URLs only.
 */
import { Agent, type Dispatcher } from 'undici';
import { type Clock, HoldfastError, isHoldfastError, systemClock } from '../model/index.ts';
import { AdaptiveLimit } from './adaptiveLimit.ts';
import { redact } from './errors.ts';
import { retryAfterSeconds } from './policies.ts';
import { closeRangedGets, rangedGet } from './rangedGet.ts';
import { countThrottled, isThrottled } from './throttleMeter.ts';

export interface DiskHttpOptions {
  /** `x-ms-version` of the data plane. Recorded to work on disk SAS: 2020-12-06 to 2021-06-08. */
  readonly serviceVersion?: string;
  readonly clock?: Clock;
  /** Tries of one request, the first included. Default 6, over about 15 s. */
  readonly tries?: number;
  /** Longest silence of the service within one try. Default 30 s. */
  readonly silenceMs?: number;
  /** Longest wait between two tries. Default 30 s. */
  readonly maxWaitMs?: number;
  /** Jitter, 0 to 1. */
  readonly random?: () => number;
}

export interface Exchange {
  readonly method: 'GET' | 'PUT' | 'HEAD';
  /** Appended to the path of the SAS: the object's name in a container, percent-encoded. */
  readonly path?: string;
  /** Appended to the SAS, e.g. `comp=page`. */
  readonly query?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** A refusal by the service, or a broken exchange (`status` 0). Thrown within this folder only. */
export class DiskFailure extends Error {
  override readonly name = 'DiskFailure';
  readonly status: number;
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(status: number, code: string, message: string, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may succeed later. */
  get transient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

const DEFAULT_SERVICE_VERSION = '2021-04-10';
const ERROR_BODY_BYTES = 16 * 1024;
const CONNECTIONS = 64;

/** How many requests a service takes at once is learned per host, and outlives the SAS. */
const limits = new Map<string, AdaptiveLimit>();

function limitOf(origin: string): AdaptiveLimit {
  let limit = limits.get(origin);
  if (!limit) {
    limit = new AdaptiveLimit({ most: CONNECTIONS });
    limits.set(origin, limit);
  }
  return limit;
}

let agent: Agent | undefined;

/** One agent for the process: a pool of kept connections per host. */
const connections = (): Agent => {
  agent ??= new Agent({ connections: CONNECTIONS, pipelining: 1, connect: { timeout: 10_000 } });
  return agent;
};

/** Closes kept connections: at the end of the worker program, or of a test. */
export async function closeDiskConnections(): Promise<void> {
  const closing = agent;
  agent = undefined;
  closeRangedGets();
  limits.clear();
  await closing?.close();
}

export class DiskHttp {
  /** Host and path, without the query: for messages. */
  readonly name: string;
  readonly #url: URL;
  readonly #options: Required<DiskHttpOptions>;

  constructor(sasUrl: string, options: DiskHttpOptions = {}) {
    this.#url = new URL(sasUrl);
    this.name = this.#url.host + this.#url.pathname;
    this.#options = {
      serviceVersion: DEFAULT_SERVICE_VERSION,
      clock: systemClock,
      tries: 6,
      silenceMs: 30_000,
      maxWaitMs: 30_000,
      random: Math.random,
      ...options,
    };
  }

  /** Waits as the service asked, within reason. */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms > 0) await this.#options.clock.sleep(Math.min(ms, this.#options.maxWaitMs), signal);
  }

  /**
   * One request, tried once. `onData` gets the body of a 2xx answer, piece by piece, in a buffer that is not kept. Throws `DiskFailure`, or
   * what the signal was aborted with, or what `onAnswer` or `onData` throws.
   */
  exchange(
    exchange: Exchange,
    onData: (chunk: Buffer) => void,
    onAnswer: (answer: Answer) => void = () => {},
  ): Promise<Answer> {
    return this.#paced(exchange, () => this.#dispatch(exchange, onData, onAnswer));
  }

  /**
   * As `exchange`, for a GET whose answer says how long it is: the cheap way to read much. `place` says where a 2xx answer of so many
   * bytes goes, `onBytes` is told how many are there.
   */
  read(
    exchange: Omit<Exchange, 'method' | 'body'>,
    place: (answer: Answer, length: number) => Buffer,
    onBytes: (got: number) => void = () => {},
  ): Promise<Answer> {
    return this.#paced(exchange, () => this.#get(exchange, place, onBytes));
  }

  /** As many requests at once as the service takes. */
  async #paced({ signal }: Pick<Exchange, 'signal'>, request: () => Promise<Answer>): Promise<Answer> {
    const leave = await limitOf(this.#url.origin).enter(signal);
    try {
      signal?.throwIfAborted();
      const answer = await request();
      leave('served');
      return answer;
    } catch (error) {
      const busy = error instanceof DiskFailure && isThrottled(error.status);
      leave(busy ? 'busy' : 'failed');
      if (busy) countThrottled(error.retryAfterMs / 1000);
      throw error;
    }
  }

  #pathOf({ path = '', query }: Pick<Exchange, 'path' | 'query'>): string {
    const { search, pathname } = this.#url;
    const all = [search.slice(1), query].filter(Boolean).join('&');
    return all === '' ? pathname + path : `${pathname}${path}?${all}`;
  }

  #get(
    exchange: Omit<Exchange, 'method' | 'body'>,
    place: (answer: Answer, length: number) => Buffer,
    onBytes: (got: number) => void,
  ): Promise<Answer> {
    const { signal } = exchange;
    return new Promise((resolve, reject) => {
      let answer: Answer | null = null;
      let refusal: Buffer = Buffer.alloc(0);
      let refused = 0;
      // What the caller throws is its own, and no failure of the connection.
      const thrown: { error?: Error } = {};
      const onAbort = () => {
        thrown.error = signal?.reason as Error;
        end(thrown.error);
      };
      const end = rangedGet({
        origin: this.#url.origin,
        path: this.#pathOf(exchange),
        headers: { 'x-ms-version': this.#options.serviceVersion, ...exchange.headers },
        silenceMs: this.#options.silenceMs,
        onHead: (head, length) => {
          answer = head;
          if (head.status >= 300) {
            refusal = Buffer.alloc(Math.min(length, ERROR_BODY_BYTES));
            return refusal;
          }
          try {
            return place(head, length);
          } catch (error) {
            thrown.error = error as Error;
            throw error;
          }
        },
        onBytes: (got) => {
          if (answer && answer.status < 300) onBytes(got);
          else refused = Math.min(got, refusal.length);
        },
        onEnd: (error) => {
          signal?.removeEventListener('abort', onAbort);
          if (thrown.error) reject(thrown.error);
          else if (error) reject(new DiskFailure(0, 'ConnectionFailed', error.message));
          else if (!answer) reject(new DiskFailure(0, 'NoAnswer', 'no answer'));
          else if (answer.status < 300) resolve(answer);
          else reject(refusalOf(answer, refusal.toString('utf8', 0, refused)));
        },
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #dispatch(
    exchange: Exchange,
    onData: (chunk: Buffer) => void,
    onAnswer: (answer: Answer) => void,
  ): Promise<Answer> {
    const { signal } = exchange;
    const { origin } = this.#url;
    return new Promise((resolve, reject) => {
      let controller: Dispatcher.DispatchController | undefined;
      let answer: Answer | undefined;
      const refusal: Buffer[] = [];
      let refused = 0;
      let ended = false;
      const end = (act: () => void) => {
        if (ended) return;
        ended = true;
        signal?.removeEventListener('abort', onAbort);
        act();
      };
      const fail = (error: Error) => {
        end(() => reject(error));
        controller?.abort(error);
      };
      const onAbort = () => fail(signal?.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
      const guarded = (act: () => void) => {
        try {
          act();
        } catch (error) {
          fail(error as Error);
        }
      };
      connections().dispatch(
        {
          origin,
          path: this.#pathOf(exchange),
          method: exchange.method,
          headers: { 'x-ms-version': this.#options.serviceVersion, ...exchange.headers },
          ...(exchange.body === undefined ? {} : { body: exchange.body }),
          headersTimeout: this.#options.silenceMs,
          bodyTimeout: this.#options.silenceMs,
        },
        {
          onRequestStart: (started) => {
            controller = started;
            if (ended) started.abort(new Error('The exchange has ended.'));
          },
          onResponseStart: (_, status, headers) => {
            const got = { status, headers };
            answer = got;
            if (status < 300) guarded(() => onAnswer(got));
          },
          onResponseData: (_, chunk) => {
            if (ended) return;
            if (answer && answer.status < 300) guarded(() => onData(chunk));
            else if (refused < ERROR_BODY_BYTES) {
              refusal.push(Buffer.from(chunk));
              refused += chunk.length;
            }
          },
          onResponseEnd: () => {
            const got = answer;
            if (got === undefined) return fail(new DiskFailure(0, 'NoAnswer', 'no answer'));
            if (got.status < 300) end(() => resolve(got));
            else end(() => reject(refusalOf(got, Buffer.concat(refusal).toString('utf8'))));
          },
          onResponseError: (_, error) => {
            // Unlike a caller's abort, which has ended the exchange already.
            end(() => reject(new DiskFailure(0, 'ConnectionFailed', error.message)));
          },
        },
      );
    });
  }

  /**
   * Calls `attempt` until it succeeds; transient failures are tried again with growing, jittered waits. `progressed` after a failure means
   * that the attempt got further than the one before, and gives it its tries back.
   */
  async persist<T>(
    attempt: () => Promise<T>,
    options: { signal?: AbortSignal | undefined; progressed?: () => boolean } = {},
  ): Promise<T> {
    const { tries, random } = this.#options;
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof DiskFailure && error.transient)) throw error;
        if (options.progressed?.()) failures = 1;
        if (failures >= tries) throw error;
        const wait = Math.max(error.retryAfterMs, 250 * 2 ** failures * (0.5 + random() / 2));
        await this.pause(wait, options.signal);
      }
    }
  }

  /** What is thrown to callers: `accessExpired` on 403, so that a fresh SAS is asked for; `throttled`, `unavailable`, ... */
  translate(what: string, error: unknown): unknown {
    if (!(error instanceof DiskFailure) || isHoldfastError(error)) return error;
    const said = [error.status || '', error.code, redact(error.message)].filter(Boolean).join(' ');
    const message = (text: string) => `${what} of ${this.name}: ${text} (${said})`;
    const make = (code: HoldfastError['code'], text: string, retryable?: boolean) =>
      new HoldfastError(code, message(text), {
        target: this.name,
        ...(retryable === undefined ? {} : { retryable }),
      });
    if (error.status === 403) return make('accessExpired', 'the SAS was refused; ask for a fresh one');
    if (error.status === 401) {
      return make(
        'accessDenied',
        'an Entra token is asked for beside the SAS; set dataAccessAuthMode to None',
      );
    }
    if (error.status === 404) return make('notFound', 'there is nothing behind the SAS any more');
    if (error.status === 503 || error.status === 429) return make('throttled', 'the service is busy');
    if (error.transient) return make('unavailable', 'the service failed');
    if (error.status === 409) return make('conflict', 'the service refused');
    return make('invalidInput', 'the service refused');
  }
}

function refusalOf(answer: Answer, body: string): DiskFailure {
  const header = (name: string) => {
    const value = answer.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const code = header('x-ms-error-code') ?? /<Code>([^<]+)<\/Code>/.exec(body)?.[1] ?? '';
  const text = /<Message>([^<\n]+)/.exec(body)?.[1] ?? '';
  const wait = retryAfterSeconds(header('retry-after')) ?? 0;
  return new DiskFailure(answer.status, code, redact(text), wait * 1000);
}
