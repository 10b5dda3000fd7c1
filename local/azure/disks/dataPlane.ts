/**
 * What answers behind a disk's SAS: `/<container>/abcd?...`, containers beginning with `md-`. Checks version, signature, policy and
 * token, then hands over to the operation; turns every failure into the Blob service's error answer.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccessPolicies, Grant } from './accessPolicies.ts';
import { type BlobRequest, headerOf, requestedRange, windowOf } from './blobRequest.ts';
import { BlobView } from './blobView.ts';
import { DiskStoreError } from './errors.ts';
import type { DataPlaneFaults, OperationName } from './faults.ts';
import { Outlet, OutletClosed } from './outlet.ts';
import { getPageRanges, listWindow, rangeSource } from './pageList.ts';
import { previousSnapshot } from './previousSnapshot.ts';
import { getBlob, getBlobProperties } from './readBlob.ts';
import type { ByteRange, DiskStore } from './types.ts';
import { errorBody, headerError, queryError, WireError, wireError } from './wireErrors.ts';
import { putPage } from './writePage.ts';

const BLOB_PATH = /^\/(md-[a-z0-9-]+)\/abcd$/;

export interface DataPlaneLogEntry {
  /** ISO 8601, of the injected clock. */
  time: string;
  method: string;
  /** Path and query without the signature. */
  path: string;
  /** Absent when the request was refused before it was known. */
  operation?: OperationName;
  /** Disk or snapshot in the store; absent when the SAS was refused. */
  target?: string;
  /** The value of x-ms-range or Range. */
  range?: string;
  /** 0 when the connection ended before an answer began. */
  status: number;
  /** Error code of the answer. */
  code?: string;
  /** Bytes of content sent and received. */
  sent: number;
  received: number;
}

export interface DataPlaneOptions {
  store: DiskStore;
  policies: AccessPolicies;
  /** Of Date, and of times in error bodies. Default: the system's. */
  clock?: { now(): Date };
  faults?: DataPlaneFaults;
  /** Called once for each request, when its answer is over. */
  log?: (entry: DataPlaneLogEntry) => void;
  /** Judges the Authorization header of requests to disks that ask for a token. Default: none is good. */
  verifyToken?: (authorization: string) => boolean | Promise<boolean>;
  /** Tenant named in the challenge for a token. */
  tenantId?: string;
  /** Newest service version understood; a later x-ms-version is refused. Default: any. */
  newestVersion?: string;
}

interface DataPlane {
  /** Answers the request if its path is a disk's; otherwise returns false and touches nothing. Never rejects. */
  handle(message: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const clock = options.clock ?? { now: () => new Date() };
  return {
    async handle(message, response) {
      const url = URL.parse(message.url ?? '/', 'https://disk.invalid');
      const container = BLOB_PATH.exec(url?.pathname ?? '')?.[1];
      if (!url || container === undefined) return false;
      const requestId = randomUUID();
      const entry: DataPlaneLogEntry = {
        time: clock.now().toISOString(),
        method: message.method ?? '',
        path: withoutSignature(message.url ?? ''),
        status: 0,
        sent: 0,
        received: 0,
      };
      const range = headerOf(message, 'x-ms-range') ?? headerOf(message, 'range');
      if (range !== undefined) entry.range = range;
      commonHeaders(message, response, requestId, clock.now());
      let logged = false;
      const over = (sent: number) => {
        if (logged) return;
        logged = true;
        options.log?.({ ...entry, sent, status: response.headersSent ? response.statusCode : 0 });
      };
      try {
        await answer(options, { message, response, url, container, requestId, entry, over });
      } catch (error) {
        await answerError(error, message, response, { requestId, entry, over, now: clock.now() });
      }
      over(0);
      return true;
    },
  };
}

interface Arrival {
  message: IncomingMessage;
  response: ServerResponse;
  url: URL;
  container: string;
  requestId: string;
  entry: DataPlaneLogEntry;
  over: (sent: number) => void;
}

async function answer(options: DataPlaneOptions, arrival: Arrival): Promise<void> {
  const { message, response, url, container, requestId, entry, over } = arrival;
  const { store } = options;
  const query = url.searchParams;
  const version = versionOf(message, query, options.newestVersion);
  response.setHeader('x-ms-version', version);
  const grant = await authenticate(options, message, container, query);
  entry.target = grant.target;
  const name = operationOf(message, query);
  entry.operation = name;
  if (name === 'PutPage' || name === 'ClearPage') requireWrite(grant);
  const view = new BlobView(store, grant.target);
  const request: BlobRequest = {
    message,
    response,
    query,
    version,
    requestId,
    grant,
    view,
    fault: undefined,
    stillGranted: () => options.policies.lookup(grant.si) !== undefined,
    received: (bytes) => {
      entry.received = bytes;
    },
    over,
  };
  const isList = name === 'GetPageRanges' || name === 'GetPageRangesDiff';
  const previous = name === 'GetPageRangesDiff' ? previousSnapshot(options, request) : undefined;
  const source = rangeSource(view, previous);
  const window = isList ? listWindow(request) : askedWindow(message, view, name);
  request.fault = options.faults?.meet({
    name,
    target: grant.target,
    lineage: view.disk.lineage,
    window,
    countRanges: (limit) => (isList ? source(window, limit).ranges.length : 0),
  });
  if (request.fault?.kind === 'error') {
    const { code, status, message: text, retryAfterSeconds } = request.fault;
    const headers = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) };
    throw new WireError(code, status, text, { headers });
  }
  if (isList) await getPageRanges(request, source);
  else if (name === 'GetBlob') await getBlob(request);
  else if (name === 'GetBlobProperties') await getBlobProperties(request);
  else await putPage(request, store);
}

function askedWindow(message: IncomingMessage, view: BlobView, name: OperationName): ByteRange {
  if (name === 'GetBlob') return windowOf(message, view.length);
  const { first = 0, last = view.length - 1 } = requestedRange(message) ?? {};
  return { offset: first, length: last + 1 - first };
}

function operationOf(message: IncomingMessage, query: URLSearchParams): OperationName {
  const comp = query.get('comp');
  if (message.method === 'HEAD' && comp === null) return 'GetBlobProperties';
  if (message.method === 'GET') {
    if (comp === null) return 'GetBlob';
    if (comp !== 'pagelist') throw queryError('InvalidQueryParameterValue', 'comp');
    if (query.has('prevsnapshot')) {
      throw queryError(
        'InvalidQueryParameterValue',
        'prevsnapshot',
        'A managed disk takes the previous snapshot in x-ms-previous-snapshot-url.',
      );
    }
    return headerOf(message, 'x-ms-previous-snapshot-url') === undefined
      ? 'GetPageRanges'
      : 'GetPageRangesDiff';
  }
  if (message.method === 'PUT' && comp === 'page') {
    return headerOf(message, 'x-ms-page-write')?.toLowerCase() === 'clear' ? 'ClearPage' : 'PutPage';
  }
  // Deleting, replacing, leasing, copying over a disk: no SAS of a disk allows it.
  if (message.method === 'PUT' || message.method === 'DELETE')
    throw wireError('AuthorizationPermissionMismatch');
  throw wireError('UnsupportedHttpVerb');
}

async function authenticate(
  options: DataPlaneOptions,
  message: IncomingMessage,
  container: string,
  query: URLSearchParams,
): Promise<Grant> {
  const verdict = options.policies.verify(container, query);
  if ('denied' in verdict) {
    throw wireError('AuthenticationFailed', { elements: { AuthenticationErrorDetail: verdict.denied } });
  }
  if (verdict.grant.requiresToken) {
    const authorization = headerOf(message, 'authorization');
    if (authorization === undefined || !(await options.verifyToken?.(authorization))) {
      const tenant = options.tenantId ?? '00000000-0000-0000-0000-000000000000';
      throw wireError('InvalidAuthenticationInfo', {
        headers: {
          'WWW-Authenticate': `Bearer authorization_uri=https://login.microsoftonline.com/${tenant}/oauth2/authorize resource_id=https://disk.compute.azure.com/`,
        },
      });
    }
  }
  return verdict.grant;
}

function requireWrite(grant: Grant): void {
  if (grant.access !== 'Write') throw wireError('AuthorizationPermissionMismatch');
}

function versionOf(message: IncomingMessage, query: URLSearchParams, newest: string | undefined): string {
  const given = headerOf(message, 'x-ms-version');
  const version = given ?? query.get('sv') ?? '2018-11-09';
  if (!/^\d{4}-\d{2}-\d{2}$/.test(version) || (newest !== undefined && version > newest)) {
    throw headerError('InvalidHeaderValue', 'x-ms-version', version);
  }
  return version;
}

function commonHeaders(
  message: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  now: Date,
): void {
  response.setHeader('Server', 'Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0');
  response.setHeader('Date', now.toUTCString());
  response.setHeader('x-ms-request-id', requestId);
  const clientRequestId = headerOf(message, 'x-ms-client-request-id');
  if (clientRequestId !== undefined) response.setHeader('x-ms-client-request-id', clientRequestId);
}

async function answerError(
  error: unknown,
  message: IncomingMessage,
  response: ServerResponse,
  context: { requestId: string; entry: DataPlaneLogEntry; over: (sent: number) => void; now: Date },
): Promise<void> {
  if (error instanceof OutletClosed || (message.destroyed && !message.complete)) {
    response.destroy();
    return;
  }
  const wire = wireErrorOf(error);
  context.entry.code = wire.code;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const hasBody = message.method !== 'HEAD' && wire.status !== 304;
  const bytes = hasBody ? Buffer.from(errorBody(wire, context.requestId, context.now)) : Buffer.alloc(0);
  response.writeHead(wire.status, {
    ...wire.headers,
    'x-ms-error-code': wire.code,
    ...(hasBody && { 'Content-Type': 'application/xml', 'Content-Length': String(bytes.length) }),
  });
  try {
    const outlet = new Outlet(response, undefined, () => context.over(0));
    await outlet.write(bytes);
    await outlet.end();
  } catch {
    response.destroy();
  }
}

function wireErrorOf(error: unknown): WireError {
  if (error instanceof WireError) return error;
  // Deleted under a SAS that still stands, or in the middle of an answer.
  if (error instanceof DiskStoreError && error.code === 'notFound') return wireError('BlobNotFound');
  if (error instanceof DiskStoreError && error.code === 'readOnly')
    return wireError('AuthorizationPermissionMismatch');
  console.error('The disk data plane failed:', error);
  return wireError('InternalError');
}

function withoutSignature(path: string): string {
  return path.replace(/([?&]sig=)[^&]*/gi, '$1REDACTED');
}
