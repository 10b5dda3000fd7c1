/** Get Page Ranges and its difference to an older snapshot: a list of any length in bounded memory. */

import { type BlobRequest, blobHeaders, windowOf } from './blobRequest.ts';
import type { BlobView } from './blobView.ts';
import { checkConditions } from './conditions.ts';
import { Outlet } from './outlet.ts';
import type { ByteRange, ChangedRange, RangePage } from './types.ts';
import { BOM, queryError, XML_DECLARATION } from './wireErrors.ts';

const BATCH = 1000;
const MAX_RESULTS = 10_000;
const PAGING_SINCE = '2020-10-02';
const MARKER = /^2!0!(\d{1,16})$/;

/** The next `limit` ranges in a window: allocated ones, or those that differ. */
export type RangeSource = (window: ByteRange, limit: number) => RangePage<ChangedRange>;

export function rangeSource(view: BlobView, previous: BlobView | undefined): RangeSource {
  return previous
    ? (window, limit) => view.changes(previous, window, limit)
    : (window, limit) => view.ranges(window, limit);
}

/** The window of a page list: whole sectors that hold the requested bytes. */
export function listWindow(request: Pick<BlobRequest, 'message' | 'view'>): ByteRange {
  const { offset, length } = windowOf(request.message, request.view.length);
  const first = Math.floor(offset / 512) * 512;
  return { offset: first, length: Math.ceil((offset + length) / 512) * 512 - first };
}

/** Answers `comp=pagelist` from `source`. */
export async function getPageRanges(request: BlobRequest, source: RangeSource): Promise<void> {
  const { response, view, fault } = request;
  const window = listWindow(request);
  const end = window.offset + window.length;
  const paging = pagingOf(request, window);
  checkConditions(request);
  let left = Math.min(paging.limit, fault?.kind === 'cap' ? fault.results : Number.POSITIVE_INFINITY);
  let from: number | undefined = paging.from;
  // The first batch is asked for before the answer begins: what it throws is still an error answer.
  let page = source({ offset: from, length: end - from }, Math.min(BATCH, left));
  response.writeHead(200, {
    ...blobHeaders(view),
    'Content-Type': 'application/xml',
    'x-ms-blob-content-length': String(view.length),
  });
  const outlet = new Outlet(response, fault, request.over);
  const isEmpty = page.ranges.length === 0 && page.next === undefined;
  await outlet.write(Buffer.from(`${BOM}${XML_DECLARATION}\n${isEmpty ? '<PageList/>' : '<PageList>'}`));
  for (;;) {
    await outlet.write(Buffer.from(page.ranges.map(rangeXml).join('')));
    left -= page.ranges.length;
    from = page.next;
    if (from === undefined || left <= 0) break;
    page = source({ offset: from, length: end - from }, Math.min(BATCH, left));
  }
  if (!isEmpty) await outlet.write(Buffer.from(`${from === undefined ? '' : markerXml(from)}</PageList>`));
  await outlet.end();
}

function pagingOf({ query, version }: BlobRequest, window: ByteRange): { limit: number; from: number } {
  const paging = { limit: Number.POSITIVE_INFINITY, from: window.offset };
  // Before paging existed the parameters meant nothing.
  if (version < PAGING_SINCE) return paging;
  const maxResults = query.get('maxresults');
  if (maxResults !== null) {
    if (!/^-?\d{1,10}$/.test(maxResults)) throw queryError('InvalidQueryParameterValue', 'maxresults');
    if (Number(maxResults) <= 0) throw queryError('OutOfRangeQueryParameterValue', 'maxresults');
    paging.limit = Math.min(Number(maxResults), MAX_RESULTS);
  }
  const marker = query.get('marker');
  if (marker !== null && marker !== '') {
    const from = Number(MARKER.exec(Buffer.from(marker, 'base64url').toString('latin1'))?.[1] ?? Number.NaN);
    if (!(from >= window.offset && from < window.offset + window.length)) {
      throw queryError('InvalidQueryParameterValue', 'marker');
    }
    paging.from = from;
  }
  return paging;
}

function rangeXml({ offset, length, clear }: ChangedRange): string {
  const name = clear ? 'ClearRange' : 'PageRange';
  return `<${name}><Start>${offset}</Start><End>${offset + length - 1}</End></${name}>`;
}

function markerXml(from: number): string {
  return `<NextMarker>${Buffer.from(`2!0!${from}`).toString('base64url')}</NextMarker>`;
}
