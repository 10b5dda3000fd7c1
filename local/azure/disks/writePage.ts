/** Put Page: writing and clearing sectors of a disk that is being uploaded. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type BlobRequest, blobHeaders, headerOf, requestedRange } from './blobRequest.ts';
import { BlobView } from './blobView.ts';
import { checkConditions, checkSequenceNumber } from './conditions.ts';
import { crc64 } from './crc64.ts';
import { Outlet } from './outlet.ts';
import type { ByteRange, DiskStore } from './types.ts';
import { headerError, wireError } from './wireErrors.ts';

const MAX_PAGES_BYTES = 4 * 1024 * 1024;

/** Answers PUT with `comp=page`. The write is in the store before the answer is sent. */
export async function putPage(request: BlobRequest, store: DiskStore): Promise<void> {
  const { message, view } = request;
  const action = headerOf(message, 'x-ms-page-write')?.toLowerCase();
  if (action === undefined) throw headerError('MissingRequiredHeader', 'x-ms-page-write');
  if (action !== 'update' && action !== 'clear')
    throw headerError('InvalidHeaderValue', 'x-ms-page-write', action);
  refuseUnsupported(message);
  checkConditions(request);
  checkSequenceNumber(request);
  const range = sectorRange(message, view.disk.sizeBytes);
  if (action === 'update') await update(request, store, range);
  else await clear(request, store, range);
}

async function update(request: BlobRequest, store: DiskStore, range: ByteRange): Promise<void> {
  const { message, view } = request;
  if (contentLength(message) !== range.length) {
    throw headerError('InvalidHeaderValue', 'Content-Length', String(contentLength(message)));
  }
  const bytes = await body(message, range.length);
  request.received(bytes.length);
  const checks = checkSums(message, bytes);
  if (!request.stillGranted()) throw wireError('AuthenticationFailed');
  await store.write(view.id, range.offset, bytes);
  await created(request, store, { ...checks, 'x-ms-request-server-encrypted': 'true' });
}

async function clear(request: BlobRequest, store: DiskStore, range: ByteRange): Promise<void> {
  const { message, view } = request;
  if (contentLength(message) !== 0)
    throw headerError('InvalidHeaderValue', 'Content-Length', String(contentLength(message)));
  await store.clear(view.id, range.offset, range.length);
  await created(request, store, {});
}

async function created(
  request: BlobRequest,
  store: DiskStore,
  headers: Record<string, string>,
): Promise<void> {
  const { response, view } = request;
  response.writeHead(201, {
    ...blobHeaders(new BlobView(store, view.id)),
    ...headers,
    'x-ms-blob-sequence-number': '0',
    'Content-Length': '0',
  });
  await new Outlet(response, request.fault, request.over).end();
}

function sectorRange(message: IncomingMessage, sizeBytes: number): ByteRange {
  const range = requestedRange(message);
  if (!range) throw headerError('MissingRequiredHeader', 'x-ms-range');
  const { first, last } = range;
  if (last === undefined || first % 512 !== 0 || (last + 1) % 512 !== 0 || last >= sizeBytes)
    throw wireError('InvalidPageRange');
  const length = last + 1 - first;
  if (headerOf(message, 'x-ms-page-write')?.toLowerCase() === 'update' && length > MAX_PAGES_BYTES)
    throw tooLarge();
  return { offset: first, length };
}

function contentLength(message: IncomingMessage): number {
  const value = headerOf(message, 'content-length');
  if (value === undefined) throw wireError('MissingContentLengthHeader');
  if (Number(value) > MAX_PAGES_BYTES) throw tooLarge();
  return Number(value);
}

function tooLarge(): Error {
  return wireError('RequestBodyTooLarge', { elements: { MaxLimit: String(MAX_PAGES_BYTES) } });
}

async function body(message: IncomingMessage, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  const bytes = Buffer.concat(parts);
  // A client that dies in the middle of its body ends the loop with an error; this is for one that lies.
  if (bytes.length !== length) throw wireError('InvalidPageRange');
  return bytes;
}

/** Compares the check sums that came with the bytes, and returns the one to answer with. */
function checkSums(message: IncomingMessage, bytes: Buffer): Record<string, string> {
  const givenMd5 = headerOf(message, 'content-md5');
  if (givenMd5 !== undefined) {
    if (Buffer.from(givenMd5, 'base64').length !== 16) throw wireError('InvalidMd5');
    const md5 = createHash('md5').update(bytes).digest('base64');
    if (md5 !== givenMd5)
      throw wireError('Md5Mismatch', { elements: { UserSpecifiedMd5: givenMd5, ServerCalculatedMd5: md5 } });
    return { 'Content-MD5': md5 };
  }
  const own = crc64(bytes);
  const given = headerOf(message, 'x-ms-content-crc64');
  if (given !== undefined && given !== own) {
    throw wireError('Crc64Mismatch', { elements: { UserSpecifiedCrc64: given, ServerCalculatedCrc64: own } });
  }
  return { 'x-ms-content-crc64': own };
}

function refuseUnsupported(message: IncomingMessage): void {
  // Put Page From URL: of a disk's incremental snapshot Azure refuses it, of others the simulator has nothing to fetch with.
  const source = headerOf(message, 'x-ms-copy-source');
  if (source !== undefined) {
    throw /[?&]sr=bs(&|$)/.test(source)
      ? wireError('CopySourceCannotBeIncrementalCopyBlob')
      : headerError('UnsupportedHeader', 'x-ms-copy-source');
  }
  if (headerOf(message, 'x-ms-structured-body') !== undefined)
    throw headerError('UnsupportedHeader', 'x-ms-structured-body');
}
