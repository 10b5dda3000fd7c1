import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AzureConnection, type ConnectionOptions } from '../../lib/azure/connection.ts';
import type { Clock } from '../../lib/model/index.ts';
import { ensureTls } from '../../local/azure/tls.ts';
import { fakeCredential, trustAuthority } from '../support/azurite.ts';

export interface ArmSeen {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: unknown;
}

export interface ArmReply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
  /** Never answer. */
  silent?: true;
}

type Answer = (seen: ArmSeen) => ArmReply;

export const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';

/** An ARM on loopback that answers as a test says: `arm.on('GET', /snapshots\/x$/, () => ({ status: 200, body }))`. */
export class ScriptedArm {
  readonly seen: ArmSeen[] = [];
  #routes: { method: string; path: RegExp; answer: Answer }[] = [];
  #server: Server | undefined;
  #dir = '';
  /** Milliseconds slept by the connection's clock, which never waits. */
  readonly slept: number[] = [];

  async start(): Promise<void> {
    this.#dir = await mkdtemp(join(tmpdir(), 'holdfast-arm-'));
    const tls = await ensureTls(this.#dir);
    trustAuthority(tls.caPem);
    this.#server = createServer({ cert: tls.certPem, key: tls.keyPem }, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    this.#server?.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  reset(): void {
    this.#routes = [];
    this.seen.length = 0;
    this.slept.length = 0;
  }

  get base(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    if (!address) throw new Error('The scripted ARM is not started.');
    return `https://127.0.0.1:${address.port}`;
  }

  /** The latest route that matches answers. */
  on(method: string, path: RegExp, answer: Answer | ArmReply): void {
    this.#routes.unshift({ method, path, answer: typeof answer === 'function' ? answer : () => answer });
  }

  connection(options: Partial<ConnectionOptions> = {}): AzureConnection {
    let now = Date.parse('2026-11-21T00:00:00Z');
    const clock: Clock = {
      now: () => new Date(now),
      sleep: (ms) => {
        this.slept.push(ms);
        now += ms;
        return Promise.resolve();
      },
    };
    return new AzureConnection(
      { armEndpoint: this.base, subscriptionId: SUBSCRIPTION },
      { credential: fakeCredential(), clock, ...options },
    );
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { pathname, searchParams } = new URL(request.url ?? '', this.base);
    const text = Buffer.concat(chunks).toString();
    const seen: ArmSeen = {
      method: request.method ?? '',
      path: pathname,
      query: searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.seen.push(seen);
    const route = this.#routes.find(({ method, path }) => method === seen.method && path.test(seen.path));
    const reply = route?.answer(seen) ?? notFound(seen.path);
    if (reply.silent) return;
    response.writeHead(reply.status, { 'content-type': 'application/json; charset=utf-8', ...reply.headers });
    response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  }
}

export const armError = (
  status: number,
  code: string,
  message = code,
  headers: Record<string, string> = {},
): ArmReply => ({
  status,
  headers,
  body: { error: { code, message } },
});

const notFound = (path: string): ArmReply =>
  armError(
    404,
    'ResourceNotFound',
    `The Resource '${path}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    {
      'x-ms-failure-cause': 'gateway',
    },
  );
