import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describeError, type Log } from './log.ts';

export interface Request {
  message: IncomingMessage;
  /** The URL as the caller wrote it, with its scheme and host. */
  url: URL;
  /** The decoded segments of the path. */
  segments: string[];
  /** Reads the whole body; rejects with TooLarge beyond the limit. */
  body(): Promise<Buffer>;
}

export interface Reply {
  status: number;
  headers?: Record<string, string | string[]>;
  body?: Uint8Array | string | undefined;
}

/** Answers a request; undefined leaves it to the next handler. */
export type Handler = (request: Request) => Promise<Reply | undefined> | Reply | undefined;

/** The largest body that is taken, bytes: the limit of the real host. */
const largestBody = 210_000_000;

class TooLarge extends Error {}

/** A JSON reply. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  const body = JSON.stringify(value);
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

/** An HTTP or HTTPS listener on 127.0.0.1 that asks its handlers in turn; 404 when none has an answer. */
export class HttpListener {
  readonly #server: Server;
  readonly #log: Log;
  readonly #secure: boolean;
  #handlers: readonly Handler[] | undefined;

  constructor(log: Log, tls?: { cert: string; key: string }) {
    this.#log = log;
    this.#secure = tls !== undefined;
    const listen = (message: IncomingMessage, response: ServerResponse): void => {
      void this.#serve(message, response);
    };
    this.#server = tls ? createTlsServer(tls, listen) : createServer(listen);
  }

  /** Opens the port (0: a free one) and answers its number. Until `serve` is called, replies are 503. */
  async open(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  serve(handlers: readonly Handler[]): void {
    this.#handlers = handlers;
  }

  /** Takes no more connections; resolves when the last request has been answered. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    await closed;
  }

  /** Cuts off what still runs. */
  abandon(): void {
    this.#server.closeAllConnections();
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    let reply: Reply;
    try {
      reply = await this.#reply(message);
    } catch (error) {
      if (message.destroyed && !message.complete) return void response.destroy();
      if (error instanceof TooLarge) reply = { status: 413, headers: { connection: 'close' } };
      else {
        const text = `${message.method ?? ''} ${message.url ?? ''} failed: ${describeError(error)}`;
        this.#log({ level: 'error', category: 'host', message: text });
        reply = { status: 500 };
      }
    }
    if (!this.#server.listening) response.setHeader('connection', 'close');
    const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
    const bodiless = reply.status === 204 || reply.status === 304;
    response.writeHead(reply.status, {
      ...(bodiless ? {} : { 'content-length': String(body?.byteLength ?? 0) }),
      ...reply.headers,
    });
    response.end(bodiless ? undefined : body);
  }

  async #reply(message: IncomingMessage): Promise<Reply> {
    const handlers = this.#handlers;
    if (!handlers) return { status: 503, headers: { 'retry-after': '1' } };
    const request = this.#parse(message);
    if (!request) return { status: 400 };
    for (const handler of handlers) {
      const reply = await handler(request);
      if (reply) return reply;
    }
    return { status: 404 };
  }

  #parse(message: IncomingMessage): Request | undefined {
    const origin = `${this.#secure ? 'https' : 'http'}://${message.headers.host ?? '127.0.0.1'}`;
    try {
      const path = message.url?.startsWith('/') ? message.url : '/';
      const url = new URL(origin + path);
      const segments = url.pathname
        .split('/')
        .filter((part) => part !== '')
        .map(decodeURIComponent);
      return { message, url, segments, body: () => readBody(message) };
    } catch {
      return undefined;
    }
  }
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBody) throw new TooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
