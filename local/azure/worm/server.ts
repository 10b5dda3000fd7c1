/**
 * A blob service over HTTPS whose containers keep versions and immutability policies: the subset that the repository speaks
 * through the official SDK. Azurite has neither (it ignores the headers of a policy, and gives no version ids).
 *
 *   const worm = await WormBlobService.start({ tls, clock });
 *   new ContainerClient(`${worm.url}/account/container`, credential);   // containers are made by Create Container
 *
 * Path-style. Any bearer token is taken (a request without one is 401). Of a user-delegation SAS the times and permissions are
 * checked, not the signature. Put Blob in one call, no blocks.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SimulatorClock } from '../clock.ts';
import { delegationKey, listing, policyHeaders } from './answers.ts';
import { checkSas } from './sas.ts';
import { BlobError, type BlobVersionRecord, type Policy, VersionedContainer } from './versions.ts';

export interface WormOptions {
  readonly tls: { readonly certPem: string; readonly keyPem: string };
  /** What policies are judged by. */
  readonly clock: SimulatorClock;
  readonly port?: number;
}

/** What a test may have happen to the next requests that match. */
export interface WormFault {
  readonly method: string;
  readonly path: RegExp;
  /** `ignorePolicy`: answered as done, and not done. Otherwise a status with a code, before or after the work. */
  readonly effect:
    | 'ignorePolicy'
    | { readonly status: number; readonly code: string; readonly after?: boolean };
  times: number;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

export class WormBlobService {
  readonly containers = new Map<string, VersionedContainer>();
  /** Each is asserted to have fired by whoever adds it: `times` is 0 then. */
  readonly faults: WormFault[] = [];
  readonly requests: string[] = [];
  readonly #clock: SimulatorClock;
  readonly #server: Server;
  readonly #oid = randomUUID();
  readonly #secret = randomBytes(32).toString('base64');

  private constructor(options: WormOptions) {
    this.#clock = options.clock;
    this.#server = createServer(
      { cert: options.tls.certPem, key: options.tls.keyPem },
      (request, response) => {
        this.#handle(request, response).catch((error: unknown) => {
          console.error(error);
          response.destroy();
        });
      },
    );
  }

  static async start(options: WormOptions): Promise<WormBlobService> {
    const service = new WormBlobService(options);
    await new Promise<void>((resolve, reject) => {
      service.#server.once('error', reject);
      service.#server.listen(options.port ?? 0, '127.0.0.1', resolve);
    });
    return service;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', 'https://worm');
    this.requests.push(`${method} ${url.pathname}${url.search}`);
    const body = await readAll(request);
    const fault = this.faults.find(
      ({ method: wanted, path, times }) =>
        times > 0 && wanted === method && path.test(url.pathname + url.search),
    );
    if (fault) fault.times--;
    let answer: Answer;
    try {
      if (typeof fault?.effect === 'object' && !fault.effect.after) throw faultError(fault.effect);
      answer =
        fault?.effect === 'ignorePolicy' && url.searchParams.get('comp') === 'immutabilityPolicies'
          ? { status: 200 }
          : this.#answer(method, url, request, body, fault?.effect === 'ignorePolicy');
      if (typeof fault?.effect === 'object' && fault.effect.after) throw faultError(fault.effect);
    } catch (error) {
      if (!(error instanceof BlobError)) throw error;
      const xml = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${error.code}</Code><Message>${error.message}</Message></Error>`;
      answer = {
        status: error.status,
        headers: { 'x-ms-error-code': error.code, 'content-type': 'application/xml' },
        body: Buffer.from(xml),
      };
    }
    const bytes = method === 'HEAD' ? undefined : answer.body;
    response.writeHead(answer.status, {
      'x-ms-version': '2026-06-06',
      date: this.#clock.now().toUTCString(),
      ...(bytes === undefined && method === 'HEAD' ? {} : { 'content-length': String(bytes?.length ?? 0) }),
      ...answer.headers,
    });
    response.end(bytes);
  }

  #answer(method: string, url: URL, request: IncomingMessage, body: Buffer, dropPolicy: boolean): Answer {
    const [, account = '', container = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    const key = `${account}/${container}`;
    const query = url.searchParams;
    if (!/^Bearer ./.test(request.headers.authorization ?? '')) {
      const exists = rest.length > 0 && this.containers.get(key)?.has(rest.join('/'));
      checkSas(query, { method, exists: exists === true, now: this.#clock.now() });
    }
    if (query.get('comp') === 'userdelegationkey') {
      return {
        status: 200,
        headers: { 'content-type': 'application/xml' },
        body: Buffer.from(delegationKey(body.toString('utf8'), this.#oid, this.#secret)),
      };
    }
    if (rest.length === 0) return this.#container(method, key, query);
    const blobs = this.containers.get(key);
    if (!blobs) throw new BlobError(404, 'ContainerNotFound', 'The specified container does not exist.');
    const name = rest.join('/');
    const version = query.get('versionid') ?? undefined;
    const conditions = {
      ifMatch: header(request, 'if-match'),
      ifNoneMatch: header(request, 'if-none-match'),
    };
    const comp = query.get('comp');
    switch (comp === null ? method : `${method} ${comp}`) {
      case 'PUT': {
        const md5 = header(request, 'content-md5');
        if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64'))
          throw new BlobError(400, 'Md5Mismatch', 'The MD5 value specified did not match.');
        const record = blobs.put(name, body, conditions, dropPolicy ? null : policyOf(request));
        return { status: 201, headers: versionHeaders(record) };
      }
      case 'HEAD':
      case 'GET':
        return content(blobs.get(name, version), header(request, 'x-ms-range') ?? header(request, 'range'));
      case 'DELETE':
        blobs.delete(name, version, conditions);
        return { status: 202 };
      case 'PUT immutabilityPolicies': {
        const policy = policyOf(request);
        if (!policy)
          throw new BlobError(400, 'MissingRequiredHeader', 'An HTTP header that is mandatory is not given.');
        return { status: 200, headers: policyHeaders(blobs.setPolicy(name, version, policy)) };
      }
      case 'DELETE immutabilityPolicies':
        blobs.deletePolicy(name, version);
        return { status: 200 };
      default:
        throw new BlobError(
          501,
          'NotImplemented',
          `The WORM blob service does not answer ${method} ${comp ?? ''}.`,
        );
    }
  }

  #container(method: string, key: string, query: URLSearchParams): Answer {
    const known = this.containers.get(key);
    if (method === 'PUT' && query.get('restype') === 'container') {
      if (known)
        throw new BlobError(409, 'ContainerAlreadyExists', 'The specified container already exists.');
      this.containers.set(key, new VersionedContainer(this.#clock));
      return { status: 201, headers: { etag: '"0x1"', 'last-modified': this.#clock.now().toUTCString() } };
    }
    if (!known) throw new BlobError(404, 'ContainerNotFound', 'The specified container does not exist.');
    if ((method === 'GET' || method === 'HEAD') && query.get('comp') === null) {
      const now = this.#clock.now().toUTCString();
      return {
        status: 200,
        headers: {
          etag: '"0x1"',
          'last-modified': now,
          'x-ms-immutable-storage-with-versioning-enabled': 'true',
        },
      };
    }
    if (method === 'GET' && query.get('comp') === 'list') {
      return {
        status: 200,
        headers: { 'content-type': 'application/xml' },
        body: Buffer.from(listing(known, key, query)),
      };
    }
    throw new BlobError(
      501,
      'NotImplemented',
      `The WORM blob service does not answer ${method} of containers.`,
    );
  }
}

function content(record: BlobVersionRecord, range: string | undefined): Answer {
  const headers = {
    ...versionHeaders(record),
    'content-type': 'application/octet-stream',
    'x-ms-blob-type': 'BlockBlob',
    'accept-ranges': 'bytes',
    ...(record.current ? { 'x-ms-is-current-version': 'true' } : {}),
  };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const size = record.bytes.length;
  if (from === undefined || (Number(from) === 0 && size === 0)) {
    return { status: 200, headers: { ...headers, 'content-length': String(size) }, body: record.bytes };
  }
  if (Number(from) >= size)
    throw new BlobError(
      416,
      'InvalidRange',
      'The range specified is invalid for the current size of the resource.',
    );
  const end = Math.min(to ? Number(to) + 1 : size, size);
  return {
    status: 206,
    headers: {
      ...headers,
      'content-range': `bytes ${from}-${end - 1}/${size}`,
      'content-length': String(end - Number(from)),
    },
    body: record.bytes.subarray(Number(from), end),
  };
}

const versionHeaders = (record: BlobVersionRecord): Record<string, string> => ({
  etag: record.etag,
  'last-modified': record.lastModified.toUTCString(),
  'x-ms-version-id': record.version,
  ...policyHeaders(record),
});

function policyOf(request: IncomingMessage): Policy | null {
  const until = header(request, 'x-ms-immutability-policy-until-date');
  if (until === undefined) return null;
  const mode = (header(request, 'x-ms-immutability-policy-mode') ?? 'unlocked').toLowerCase();
  if (mode !== 'locked' && mode !== 'unlocked')
    throw new BlobError(400, 'InvalidHeaderValue', 'x-ms-immutability-policy-mode has an invalid value.');
  return { until: new Date(until), mode };
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

const faultError = ({ status, code }: { status: number; code: string }) =>
  new BlobError(status, code, 'An injected fault.');

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
