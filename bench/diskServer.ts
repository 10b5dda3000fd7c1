/**
 * The disk-SAS data plane, as far as a job needs it, in a process of its own: ranged GET, `comp=pagelist` with and without
 * `x-ms-previous-snapshot-url`, Put Page into nothing. The images are held in memory: on Azure this work is not ours, and here it
 * takes its CPU from what is measured.
 */
import type { Ranges } from './diskLists.ts';
import type { Images } from './image.ts';
import { answering, type LeanAnswer, type LeanRequest, serve } from './leanServer.ts';
import { SparseImage } from './sparseImage.ts';

export interface DiskServerData extends Images {
  readonly sizeBytes: number;
}

const data = JSON.parse(process.argv[2] ?? '') as DiskServerData;
const images: Readonly<Record<string, SparseImage>> = {
  '/first': new SparseImage(data.first, data.lists.allocated.first, data.spread),
  '/next': new SparseImage(data.next, data.lists.allocated.next, data.spread),
};
const requests = { read: 0, list: 0, write: 0 };
const bytes = { read: 0, write: 0 };

function rangeOf(request: LeanRequest): [from: number, to: number] {
  const [, from, to] =
    /bytes=(\d+)-(\d+)/.exec(request.headers['x-ms-range'] ?? request.headers.range ?? '') ?? [];
  return [Number(from), Math.min(Number(to), data.sizeBytes - 1)];
}

function sendRange(image: SparseImage, request: LeanRequest): LeanAnswer {
  const [from, to] = rangeOf(request);
  requests.read++;
  bytes.read += to - from + 1;
  return {
    status: 206,
    headers: {
      'content-range': `bytes ${from}-${to}/${data.sizeBytes}`,
      'content-type': 'application/octet-stream',
    },
    body: { length: to - from + 1, pieces: image.pieces(from, to) },
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
