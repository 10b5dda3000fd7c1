/**
 * The disk-SAS data plane, as far as a job needs it, in a process of its own: ranged GET, `comp=pagelist` with and without
 * `x-ms-previous-snapshot-url`, Put Page into nothing. Content comes from raw files through the page cache.
 */
import { openSync, readSync } from 'node:fs';
import type { Ranges } from './diskLists.ts';
import type { Images } from './image.ts';
import { answering, type LeanAnswer, type LeanRequest, serve } from './leanServer.ts';

const PIECE = 1024 * 1024;

export interface DiskServerData extends Images {
  readonly sizeBytes: number;
}

const data = JSON.parse(process.argv[2] ?? '') as DiskServerData;
const files: Readonly<Record<string, number>> = {
  '/first': openSync(data.first, 'r'),
  '/next': openSync(data.next, 'r'),
};
const pool: Buffer[] = [];
const requests = { read: 0, list: 0, write: 0 };
const bytes = { read: 0, write: 0 };

function rangeOf(request: LeanRequest): [from: number, to: number] {
  const [, from, to] =
    /bytes=(\d+)-(\d+)/.exec(request.headers['x-ms-range'] ?? request.headers.range ?? '') ?? [];
  return [Number(from), Math.min(Number(to), data.sizeBytes - 1)];
}

async function* pieces(file: number, from: number, to: number): AsyncGenerator<Buffer> {
  const buffer = pool.pop() ?? Buffer.allocUnsafeSlow(PIECE);
  for (let at = from; at <= to; ) {
    const want = Math.min(PIECE, to + 1 - at);
    // From the page cache: faster than a thread of the pool is asked.
    const got = readSync(file, buffer, 0, want, at);
    if (got !== want) throw new Error(`The image ends at ${at + got}.`);
    yield buffer.subarray(0, got);
    at += got;
  }
  pool.push(buffer);
}

function sendRange(file: number, request: LeanRequest): LeanAnswer {
  const [from, to] = rangeOf(request);
  requests.read++;
  bytes.read += to - from + 1;
  return {
    status: 206,
    headers: {
      'content-range': `bytes ${from}-${to}/${data.sizeBytes}`,
      'content-type': 'application/octet-stream',
    },
    body: { length: to - from + 1, pieces: pieces(file, from, to) },
  };
}

/** What of the ranges lies in [from, to]. */
const cut = (ranges: Ranges, from: number, to: number): [number, number][] =>
  ranges.flatMap(([offset, length]): [number, number][] => {
    const start = Math.max(offset, from);
    const end = Math.min(offset + length - 1, to);
    return start <= end ? [[start, end]] : [];
  });

function sendList(name: string, request: LeanRequest): LeanAnswer {
  const [from, to] = rangeOf(request);
  requests.list++;
  const { allocated, changed, cleared } = data.lists;
  const element = (tag: string, [start, end]: [number, number]) =>
    `<${tag}><Start>${start}</Start><End>${end}</End></${tag}>`;
  const entries: { start: number; xml: string }[] = [];
  const put = (tag: string, ranges: Ranges) => {
    for (const range of cut(ranges, from, to)) entries.push({ start: range[0], xml: element(tag, range) });
  };
  if (request.headers['x-ms-previous-snapshot-url'] === undefined)
    put('PageRange', name === '/first' ? allocated.first : allocated.next);
  else {
    put('PageRange', changed);
    put('ClearRange', cleared);
  }
  entries.sort((a, b) => a.start - b.start);
  const body = `<?xml version="1.0" encoding="utf-8"?><PageList>${entries.map(({ xml }) => xml).join('')}</PageList>`;
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: Buffer.from(body) };
}

serve((request) => {
  const { method, url } = request;
  const file = files[url.pathname];
  if (method === 'PUT') {
    requests.write++;
    return {
      onData: (piece) => {
        bytes.write += piece.length;
      },
      onEnd: () => ({ status: 201 }),
    };
  }
  return answering(() => {
    if (url.pathname === '/usage') {
      const { user, system } = process.cpuUsage();
      return {
        status: 200,
        body: Buffer.from(JSON.stringify({ cpuS: (user + system) / 1e6, requests, bytes })),
      };
    }
    if (file === undefined) return { status: 404 };
    return url.searchParams.get('comp') === 'pagelist'
      ? sendList(url.pathname, request)
      : sendRange(file, request);
  });
});
