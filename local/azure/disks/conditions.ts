/** Conditional headers (RFC 9110 section 13, and the Blob service's own for page blobs). */
import { type BlobRequest, blobHeaders, headerOf, lastModified } from './blobRequest.ts';
import { headerError, wireError } from './wireErrors.ts';

/** Page blobs behind a disk SAS are never given another sequence number. */
const SEQUENCE_NUMBER = 0;

/**
 * Throws ConditionNotMet when a condition of the request does not hold: 304 for a read that may use its cached copy, 412 otherwise.
 */
export function checkConditions({ message, view }: BlobRequest): void {
  const isRead = message.method === 'GET' || message.method === 'HEAD';
  const { etag } = view;
  const modified = lastModified(view).getTime();
  const ifMatch = headerOf(message, 'if-match');
  const ifNoneMatch = headerOf(message, 'if-none-match');
  const unmodifiedSince = dateOf(headerOf(message, 'if-unmodified-since'), 'If-Unmodified-Since');
  const modifiedSince = dateOf(headerOf(message, 'if-modified-since'), 'If-Modified-Since');
  const failed =
    (ifMatch !== undefined && !names(ifMatch, etag)) ||
    (unmodifiedSince !== undefined && modified > unmodifiedSince);
  if (failed) throw wireError('ConditionNotMet');
  // If-Modified-Since counts only without If-None-Match.
  const unchanged =
    ifNoneMatch === undefined
      ? modifiedSince !== undefined && modified <= modifiedSince
      : names(ifNoneMatch, etag);
  if (unchanged) {
    const error = wireError('ConditionNotMet', { headers: blobHeaders(view) });
    throw isRead ? Object.assign(error, { status: 304 }) : error;
  }
}

/** The conditions of Put Page on the sequence number. */
export function checkSequenceNumber({ message }: BlobRequest): void {
  const holds = {
    'x-ms-if-sequence-number-le': (limit: number) => SEQUENCE_NUMBER <= limit,
    'x-ms-if-sequence-number-lt': (limit: number) => SEQUENCE_NUMBER < limit,
    'x-ms-if-sequence-number-eq': (limit: number) => SEQUENCE_NUMBER === limit,
  };
  for (const [name, test] of Object.entries(holds)) {
    const value = headerOf(message, name);
    if (value === undefined) continue;
    if (!/^\d{1,19}$/.test(value)) throw headerError('InvalidHeaderValue', name, value);
    if (!test(Number(value))) throw wireError('SequenceNumberConditionNotMet');
  }
}

function names(list: string, etag: string): boolean {
  return list.split(',').some((entry) => entry.trim() === '*' || entry.trim().replace(/^W\//, '') === etag);
}

function dateOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw headerError('InvalidHeaderValue', name, text);
  return time;
}
