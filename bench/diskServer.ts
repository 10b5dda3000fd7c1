/**
 * The disk-SAS data plane, as far as a job needs it, in a process of its own: ranged GET, `comp=pagelist` with and without
 * `x-ms-previous-snapshot-url`, Put Page into nothing. The images are held in memory: on Azure this work is not ours, and here it
 * takes its CPU from what is measured.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Ranges } from './diskLists.ts';
import type { Images } from './image.ts';
import { answering, type LeanAnswer, type LeanRequest, serve } from './leanServer.ts';

const PIECE = 1024 * 1024;

export interface DiskServerData extends Images {
  readonly sizeBytes: number;
}

const data = JSON.parse(process.argv[2] ?? '') as DiskServerData;
const images: Readonly<Record<string, Buffer>> = {
  '/first': load(data.first, data.lists.allocated.first),
  '/next': load(data.next, data.lists.allocated.next),
};

/** What is not allocated is never touched, and takes no memory. */
function load(path: string, allocated: Ranges): Buffer {
  const image = Buffer.alloc(data.sizeBytes);
  const file = openSync(path, 'r');
  for (const [offset, length] of allocated) {
    for (let at = offset; at < offset + length; ) {
      const got = readSync(file, image, at, Math.min(64 * PIECE, offset + length - at), at);
      if (got === 0) throw new Error(`The image ends at ${at}.`);
      at += got;
    }
  }
  closeSync(file);
  return image;
}

const requests = { read: 0, list: 0, write: 0 };
const bytes = { read: 0, write: 0 };

function rangeOf(request: LeanRequest): [from: number, to: number] {
  const [, from, to] =
    /bytes=(\d+)-(\d+)/.exec(request.headers['x-ms-range'] ?? request.headers.range ?? '') ?? [];
  return [Number(from), Math.min(Number(to), data.sizeBytes - 1)];
}

function* pieces(image: Buffer, from: number, to: number): Generator<Buffer> {
  for (let at = from; at <= to; at += PIECE) yield image.subarray(at, Math.min(at + PIECE, to + 1));
}

function sendRange(image: Buffer, request: LeanRequest): LeanAnswer {
  const [from, to] = rangeOf(request);
  requests.read++;
  bytes.read += to - from + 1;
  return {
    status: 206,
    headers: {
      'content-range': `bytes ${from}-${to}/${data.sizeBytes}`,
      'content-type': 'application/octet-stream',
    },
    body: { length: to - from + 1, pieces: pieces(image, from, to) },
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
  const image = images[url.pathname];
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
    if (image === undefined) return { status: 404 };
    return url.searchParams.get('comp') === 'pagelist'
      ? sendList(url.pathname, request)
      : sendRange(image, request);
  });
});
