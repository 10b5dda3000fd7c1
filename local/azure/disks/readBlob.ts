/** Get Blob and Get Blob Properties: the disk's bytes, whole or a range, and what is known about them. */
import { createHash } from 'node:crypto';
import { type BlobRequest, blobHeaders, headerOf, requestedRange, windowOf } from './blobRequest.ts';
import { checkConditions } from './conditions.ts';
import { crc64 } from './crc64.ts';
import { Outlet } from './outlet.ts';
import { wireError } from './wireErrors.ts';

const PART_BYTES = 4 * 1024 * 1024;

/** HEAD: headers only, with the blob's whole length. */
export async function getBlobProperties(request: BlobRequest): Promise<void> {
  checkConditions(request);
  const { response, view } = request;
  response.writeHead(200, { ...contentHeaders(request), 'Content-Length': String(view.length) });
  await new Outlet(response, request.fault, request.over).end();
}

/** GET: 200 with everything, or 206 with the range that was asked for. */
export async function getBlob(request: BlobRequest): Promise<void> {
  checkConditions(request);
  const { message, response, view } = request;
  const ranged = requestedRange(message) !== undefined;
  const { offset, length } = windowOf(message, view.length);
  const headers: Record<string, string> = { ...contentHeaders(request), 'Content-Length': String(length) };
  if (ranged) headers['Content-Range'] = `bytes ${offset}-${offset + length - 1}/${view.length}`;
  const wantsMd5 = headerOf(message, 'x-ms-range-get-content-md5') === 'true';
  const wantsCrc64 = headerOf(message, 'x-ms-range-get-content-crc64') === 'true';
  let first: Buffer | undefined;
  if (ranged && (wantsMd5 || wantsCrc64)) {
    if (length > PART_BYTES || (wantsMd5 && wantsCrc64)) throw wireError('OutOfRangeInput');
    first = await view.read(offset, length);
    if (wantsMd5) headers['Content-MD5'] = createHash('md5').update(first).digest('base64');
    else headers['x-ms-content-crc64'] = crc64(first);
  }
  first ??= await view.read(offset, Math.min(PART_BYTES, length));
  response.writeHead(ranged ? 206 : 200, headers);
  const outlet = new Outlet(response, request.fault, request.over);
  await outlet.write(first);
  for (let done = first.length; done < length; done += PART_BYTES) {
    await outlet.write(await view.read(offset + done, Math.min(PART_BYTES, length - done)));
  }
  await outlet.end();
}

function contentHeaders({ view, grant, blobHeaders: own }: BlobRequest): Record<string, string> {
  const { createdAt, kind } = view.disk;
  return {
    ...blobHeaders(view),
    'Accept-Ranges': 'bytes',
    'Content-Type': 'application/octet-stream',
    'x-ms-blob-type': 'PageBlob',
    'x-ms-blob-sequence-number': '0',
    'x-ms-creation-time': createdAt.toUTCString(),
    'x-ms-lease-state': 'available',
    'x-ms-lease-status': 'unlocked',
    'x-ms-server-encrypted': 'true',
    ...(kind === 'snapshot' && grant?.snapshotTime
      ? {
          'x-ms-meta-PIRTag': '1',
          'x-ms-incremental-copy': 'true',
          'x-ms-copy-destination-snapshot': grant.snapshotTime,
          'x-ms-copy-status': 'success',
          'x-ms-copy-progress': `${view.length}/${view.length}`,
          'x-ms-copy-completion-time': createdAt.toUTCString(),
        }
      : {}),
    ...own,
  };
}
