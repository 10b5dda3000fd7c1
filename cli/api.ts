import { z } from 'zod';
import { type Clock, ERROR_CODES, type ErrorCode, HoldfastError } from '../lib/model/index.ts';
import type { Connection } from './connection.ts';

const API_VERSION = '2026-11-01';
const TIMEOUT_MS = 60_000;
const ATTEMPTS = 3;

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    target: z.string().optional(),
    details: z.array(z.object({ target: z.string(), message: z.string() })).optional(),
  }),
});
const pageSchema = z.object({ value: z.array(z.unknown()), nextLink: z.string().optional() });

export interface ApiClient {
  get<T>(path: string, schema: z.ZodType<T>, query?: Query): Promise<T>;
  /** Every page of a list, or as many items as `limit`. */
  list<T>(path: string, item: z.ZodType<T>, query?: Query, limit?: number): Promise<T[]>;
  /** Sent once: a POST that was lost on the way is for the caller to look after. */
  post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T>;
  /** Creates or replaces. Sent once. */
  put<T>(path: string, body: unknown, schema: z.ZodType<T>, condition?: Condition): Promise<T>;
  /** Sent once, as a POST. */
  delete<T>(path: string, schema: z.ZodType<T>, query?: Query): Promise<T>;
}
export type Query = Readonly<Record<string, string | undefined>>;
/** A write that counts only for one version of a resource (its etag), or only if there is none. */
export type Condition = { readonly 'if-match': string } | { readonly 'if-none-match': '*' };

/** A client of Holdfast's API. Every failure is a `HoldfastError`; reads are retried when the service is away or busy. */
export function createApiClient(connection: Connection, clock: Clock, signal?: AbortSignal): ApiClient {
  const address = (path: string, query: Query = {}): URL => {
    const url = new URL(`${connection.url}/api/${path}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, value);
    url.searchParams.set('api-version', API_VERSION);
    return url;
  };

  async function send(method: string, url: URL, body?: unknown, condition?: Condition): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await sendOnce(method, url, body, condition);
      } catch (error) {
        const again = error instanceof HoldfastError && error.retryable && method === 'GET';
        if (!again || attempt >= ATTEMPTS || signal?.aborted) throw error;
        await clock.sleep(500 * attempt, signal);
      }
    }
  }

  async function sendOnce(
    method: string,
    url: URL,
    body: unknown,
    condition: Condition | undefined,
  ): Promise<unknown> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(connection.key === undefined ? {} : { 'x-functions-key': connection.key }),
          ...condition,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      });
      text = await response.text();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw unreachable(connection.url, error);
    }
    const json = parse(text);
    if (!response.ok) throw errorOf(response.status, json, connection, url.pathname);
    return json;
  }

  function read<T>(schema: z.ZodType<T>, json: unknown, path: string): T {
    const parsed = schema.safeParse(json);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new HoldfastError(
      'internal',
      `The service's answer to ${path} is not what this holdfast understands (${issue?.path.join('.')}: ${issue?.message}). Are both of the same version?`,
    );
  }

  return {
    get: async (path, schema, query) => read(schema, await send('GET', address(path, query)), path),
    async list(path, item, query, limit = Number.POSITIVE_INFINITY) {
      const items = [];
      let url: URL | undefined = address(path, query);
      while (url && items.length < limit) {
        const page: z.infer<typeof pageSchema> = read(pageSchema, await send('GET', url), path);
        for (const value of page.value) items.push(read(item, value, path));
        url = page.nextLink === undefined ? undefined : followable(page.nextLink, connection.url);
      }
      return items.slice(0, limit);
    },
    post: async (path, body, schema) => read(schema, await send('POST', address(path), body), path),
    put: async (path, body, schema, condition) =>
      read(schema, await send('PUT', address(path), body, condition), path),
    delete: async (path, schema, query) => read(schema, await send('DELETE', address(path, query)), path),
  };
}

/** The key is sent along, so a next page is only fetched from the service itself. */
function followable(link: string, base: string): URL {
  const url = new URL(link, `${base}/`);
  if (url.origin !== new URL(base).origin) {
    throw new HoldfastError('internal', `The service's list goes on at another address (${url.origin}).`);
  }
  return url;
}

function unreachable(url: string, error: unknown): HoldfastError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new HoldfastError('timeout', `${url} did not answer within ${TIMEOUT_MS / 1000} s.`);
  }
  const cause = error instanceof Error ? (error.cause as { code?: string; message?: string }) : undefined;
  const why = cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
  return new HoldfastError(
    'unavailable',
    `No Holdfast answers at ${url} (${why}). Is it running? Locally it starts with "npm start".`,
    { cause: error },
  );
}

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalidInput',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
  408: 'timeout',
  409: 'conflict',
  429: 'throttled',
  503: 'unavailable',
};

function errorOf(status: number, json: unknown, connection: Connection, path: string): HoldfastError {
  const parsed = errorSchema.safeParse(json);
  const byStatus = BY_STATUS[status] ?? 'internal';
  if (parsed.success) {
    const { code, target, details = [] } = parsed.data.error;
    const message = [
      parsed.data.error.message,
      ...details.map((one) => `  ${one.target}: ${one.message}`),
    ].join('\n');
    const known = ERROR_CODES.find((known) => known.toLowerCase() === code.toLowerCase()) ?? byStatus;
    return new HoldfastError(known, message, target === undefined ? {} : { target });
  }
  if (status === 401 || status === 403) {
    const hint = connection.key ? 'The key was refused: check HOLDFAST_KEY.' : 'Set HOLDFAST_KEY.';
    return new HoldfastError(byStatus, `${connection.url} wants a key. ${hint}`);
  }
  return new HoldfastError(byStatus, `The service answered ${status} to ${path}.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
