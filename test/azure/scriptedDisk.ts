import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SentRange {
  /** Inclusive ends, as on the wire. */
  start: number;
  end: number;
  clear: boolean;
}

export interface Seen {
  method: string;
  /** Of `x-ms-range`, inclusive. */
  first: number;
  last: number;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Buffer;
}

/** What the server does to one request instead of answering it. */
export type Fault =
  | { status: number; code: string; retryAfter?: string }
  | { cutAfter: number }
  | { hangUp: true }
  | { wrongRange: true }
  /** Ends the body properly, but early. */
  | { shortBy: number };

/**
 * A page blob behind a disk SAS, on loopback: answers ranged GET, `comp=pagelist` and Put Page from plain arrays, and fails as told.
 * `fault` sees each request before it is answered.
 */
export class ScriptedDisk {
  readonly seen: Seen[] = [];
  fired = 0;
  /** Bytes of the blob, footer included. */
  bytes = Buffer.alloc(0);
  ranges: SentRange[] = [];
  diffRanges: SentRange[] = [];
  /** Longest list in one answer; the rest by marker. */
  pageSize = Number.POSITIVE_INFINITY;
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  readonly #server = createServer((request, response) => {
    void this.#answer(request, response);
  });

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** A SAS URL with a signature that must not appear anywhere. */
  url(snapshot = '2021-01-21T10%3A28%3A30.9524130Z'): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}/gpvdbq1xsmjq/abcd?snapshot=${snapshot}&sv=2018-11-09&sr=bs&si=aabb&sig=SECRET%2F%3D`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body: Buffer[] = [];
    for await (const chunk of request) body.push(chunk as Buffer);
    const url = new URL(request.url ?? '', 'http://127.0.0.1');
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(String(request.headers['x-ms-range'] ?? '')) ?? [];
    const seen: Seen = {
      method: request.method ?? '',
      first: Number(first),
      last: Number(last),
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(body),
    };
    this.seen.push(seen);
    const fault = this.fault(seen);
    if (fault) {
      this.fired++;
      if ('hangUp' in fault) return void request.socket.destroy();
      if ('status' in fault) return refuse(response, fault);
    }
    if (seen.query.get('comp') === 'pagelist') return this.#list(seen, response, fault);
    if (seen.query.get('comp') === 'page') return this.#put(seen, response);
    return this.#get(seen, response, fault);
  }

  #get(seen: Seen, response: ServerResponse, fault?: Fault): void {
    const part = this.bytes.subarray(seen.first, seen.last + 1);
    const from = fault && 'wrongRange' in fault ? seen.first + 512 : seen.first;
    const short = fault && 'shortBy' in fault ? fault.shortBy : 0;
    response.writeHead(206, {
      'content-length': part.length - short,
      'content-range': `bytes ${from}-${from + part.length - 1}/${this.bytes.length}`,
    });
    if (fault && 'cutAfter' in fault) {
      response.write(part.subarray(0, fault.cutAfter), () => response.socket?.destroy());
      return;
    }
    response.end(part.subarray(0, part.length - short));
  }

  #list(seen: Seen, response: ServerResponse, fault?: Fault): void {
    const diff = seen.headers['x-ms-previous-snapshot-url'] !== undefined;
    const from = Number(seen.query.get('marker') ?? '0');
    // As the service: whole entries are cut at the range asked for.
    const within = (diff ? this.diffRanges : this.ranges)
      .filter(({ start, end }) => end >= seen.first && start <= seen.last)
      .map((range) => ({
        ...range,
        start: Math.max(range.start, seen.first),
        end: Math.min(range.end, seen.last),
      }));
    const page = within.slice(from, from + this.pageSize);
    const marker = from + page.length < within.length ? `<NextMarker>${from + page.length}</NextMarker>` : '';
    const inner = page
      .map(({ start, end, clear }) => {
        const tag = clear ? 'ClearRange' : 'PageRange';
        return `<${tag}><Start>${start}</Start><End>${end}</End></${tag}>`;
      })
      .join('');
    const list = inner + marker === '' ? '<PageList/>' : `<PageList>${inner}${marker}</PageList>`;
    const text = Buffer.from(`\uFEFF<?xml version="1.0" encoding="utf-8"?>\n${list}`);
    response.writeHead(200, {
      'content-type': 'application/xml',
      'x-ms-blob-content-length': this.bytes.length,
    });
    if (fault && 'cutAfter' in fault) {
      // A proxy that ends a chunked body early ends it properly: nothing but the syntax tells.
      response.end(text.subarray(0, fault.cutAfter));
      return;
    }
    response.end(text);
  }

  #put(seen: Seen, response: ServerResponse): void {
    const md5 = createHash('md5').update(seen.body).digest('base64');
    if (md5 !== seen.headers['content-md5']) return refuse(response, { status: 400, code: 'Md5Mismatch' });
    if (seen.body.length > 4 * 1024 * 1024)
      return refuse(response, { status: 413, code: 'RequestBodyTooLarge' });
    if (seen.last - seen.first + 1 !== seen.body.length)
      return refuse(response, { status: 400, code: 'InvalidHeaderValue' });
    seen.body.copy(this.bytes, seen.first);
    response.writeHead(201).end();
  }
}

function refuse(
  response: ServerResponse,
  fault: { status: number; code: string; retryAfter?: string },
): void {
  response.writeHead(fault.status, {
    'x-ms-error-code': fault.code,
    ...(fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter }),
  });
  response.end(
    `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>${fault.code} of https://h/c?sig=SECRET\nRequestId:1</Message></Error>`,
  );
}
