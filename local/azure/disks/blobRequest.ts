/** One request to the blob behind a SAS, as the operations see it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Grant } from './accessPolicies.ts';
import type { BlobView } from './blobView.ts';
import type { DataPlaneFault } from './faults.ts';
import type { ByteRange } from './types.ts';
import { headerError, wireError } from './wireErrors.ts';

export interface BlobRequest {
  message: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
  /** Service version, yyyy-mm-dd. */
  version: string;
  requestId: string;
  /** What the SAS of a disk stands for; none for a blob of a storage account. */
  grant?: Grant;
  /** Headers of a blob of a storage account, beside those that every blob has. */
  blobHeaders?: Record<string, string>;
  view: BlobView;
  /** How the answer breaks, if it does. */
  fault: DataPlaneFault | undefined;
  /** False once the policy was revoked: a body may arrive long after the request was let in. */
  stillGranted: () => boolean;
  /** Tells the log the bytes of content received. */
  received: (bytes: number) => void;
  /** Tells the log that the answer is over, with the bytes of content sent. */
  over: (sent: number) => void;
}

/** The single value of a header. */
export function headerOf(message: IncomingMessage, name: string): string | undefined {
  const value = message.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/**
 * The bytes that `x-ms-range` or `Range` asks for, not yet cut to any blob; `last` is inclusive and may be absent. x-ms-range wins, and must
 * be understood; a Range in another form is ignored, as HTTP wants it.
 */
export function requestedRange(message: IncomingMessage): { first: number; last?: number } | undefined {
  const own = headerOf(message, 'x-ms-range');
  const text = own ?? headerOf(message, 'range');
  if (text === undefined) return undefined;
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})?$/.exec(text) ?? [];
  if (first === undefined || (last !== undefined && Number(last) < Number(first))) {
    if (own === undefined) return undefined;
    throw headerError('InvalidHeaderValue', 'x-ms-range', text);
  }
  return { first: Number(first), ...(last !== undefined && { last: Number(last) }) };
}

/** The requested range cut to a blob of `length` bytes; the whole blob when none is asked. Throws InvalidRange beyond the end. */
export function windowOf(message: IncomingMessage, length: number): ByteRange {
  const range = requestedRange(message);
  if (!range) return { offset: 0, length };
  if (range.first >= length)
    throw wireError('InvalidRange', { headers: { 'Content-Range': `bytes */${length}` } });
  return { offset: range.first, length: Math.min(range.last ?? length - 1, length - 1) + 1 - range.first };
}

/** Headers that every answer about an existing blob has. */
export function blobHeaders(view: BlobView): Record<string, string> {
  return { 'Last-Modified': lastModified(view).toUTCString(), ETag: view.etag };
}

/** Whole seconds, as HTTP dates have no more. */
export function lastModified(view: BlobView): Date {
  return new Date(Math.floor(view.disk.modifiedAt.getTime() / 1000) * 1000);
}
