import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { setImmediate } from 'node:timers/promises';
import { RestError } from '@azure/core-rest-pipeline';
import { array, assert, asyncProperty, integer, record } from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { crc64 } from '../../local/azure/disks/crc64.ts';
import type { ByteRange, DiskStore } from '../../local/azure/disks/index.ts';
import { DataPlaneServer, GIB, MIB } from './dataplaneServer.ts';

const PAGE = 4096;
let server: DataPlaneServer;

beforeAll(async () => {
  server = await DataPlaneServer.start();
  await server.store.create('disk', 64 * MIB);
  for (let page = 0; page < 64; page += 2)
    await server.store.write('disk', page * PAGE, Buffer.alloc(PAGE, page + 1));
  await server.snapshot('disk', 'snap');
});
afterAll(() => server.stop());
beforeEach(() => {
  server.log.length = 0;
});
afterEach(() => {
  const unfired = server.faults.unfired();
  server.faults.clear();
  // A fault that never struck means a test that tested nothing.
  if (unfired.length > 0) throw new Error(`Faults that never fired: ${unfired.join(', ')}`);
});

test('503 ServerBusy strikes as often as ordered, and the client retries it', async () => {
  server.faults.serverBusy(2, ({ name }) => name === 'GetPageRanges');
  const client = server.client(server.grant('snap'), {
    retryOptions: { maxTries: 3, retryDelayInMs: 1, maxRetryDelayInMs: 2 },
  });
  expect((await client.getPageRanges()).pageRange).toHaveLength(33);
  expect(server.log.map(({ status, code }) => [status, code])).toEqual([
    [503, 'ServerBusy'],
    [503, 'ServerBusy'],
    [200, undefined],
  ]);
});

test('a page list of too many ranges times out, a smaller window does not', async () => {
  server.faults.pageListTimeout(16);
  const client = server.client(server.grant('snap'));
  await expect(client.getPageRanges(0, 64 * PAGE)).rejects.toMatchObject({
    statusCode: 500,
    code: 'OperationTimedOut',
  });
  expect((await client.getPageRanges(0, 32 * PAGE)).pageRange).toHaveLength(16);
});

test('a scripted cap ends a list with a marker that nobody asked for', async () => {
  server.faults.add({ name: 'cap', fault: { kind: 'cap', results: 5 } });
  const first = await server.client(server.grant('snap')).getPageRanges();
  expect(first.pageRange).toHaveLength(5);
  expect((first as { continuationToken?: string }).continuationToken).toMatch(/./);
});

test('a truncated body ends the connection after exactly that many bytes', async () => {
  server.faults.add({ name: 'truncate', fault: { kind: 'truncate', afterBytes: 1000 } });
  const { pathAndQuery } = server.grant('snap');
  await expect(server.raw(pathAndQuery, { headers: { range: 'bytes=0-99999' } })).rejects.toThrow(
    /aborted|hang up|ECONNRESET/,
  );
  expect(server.log[0]).toMatchObject({ status: 206, sent: 1000 });
});

test('a stalled body waits until it is released', async () => {
  const release = server.faults.stall(100);
  let arrived = 0;
  const { promise: stalled, resolve } = Promise.withResolvers<void>();
  const download = await server
    .client(server.grant('snap'))
    .download(0, 50_000, { onProgress: ({ loadedBytes }) => (arrived = loadedBytes) });
  const parts: Buffer[] = [];
  const body = download.readableStreamBody as NodeJS.ReadableStream;
  body.on('data', (part: Buffer) => {
    parts.push(part);
    resolve();
  });
  await stalled;
  expect(Buffer.concat(parts)).toHaveLength(100);
  release();
  await new Promise((end) => body.once('end', end));
  expect(Buffer.concat(parts).equals(await server.store.read('snap', 0, 50_000))).toBe(true);
  expect(arrived).toBe(50_000);
});

test('a client that gives up on a stalled body frees the server', async () => {
  const controller = new AbortController();
  server.faults.stall(0, () => {
    void setImmediate().then(() => controller.abort());
    return true;
  });
  const aborted = server
    .client(server.grant('snap'))
    .getPageRanges(0, MIB, { abortSignal: controller.signal });
  await expect(aborted).rejects.toThrow(/abort/i);
  await expect.poll(() => server.log.length).toBe(1);
  expect(server.log[0]).toMatchObject({ operation: 'GetPageRanges', sent: 0 });
});

test('while a family is squashed its members answer 403, others do not', async () => {
  await server.store.create('other', MIB);
  const over = server.faults.squash(server.store.describe('snap').lineage);
  const client = server.client(server.grant('snap'));
  await expect(client.getProperties()).rejects.toBeInstanceOf(RestError);
  await expect(client.getPageRanges()).rejects.toMatchObject({
    statusCode: 403,
    code: 'AuthenticationFailed',
  });
  await server.client(server.grant('other')).getProperties();
  over();
  await client.getProperties();
});

test('a list of a million ranges is sent as the reader reads it', async () => {
  const own = await DataPlaneServer.start();
  let asked = 0;
  const ranges = 1_000_000;
  const store: Partial<DiskStore> = {
    describe: (id) => ({ ...own.store.describe(id), sizeBytes: ranges * 2 * PAGE }),
    rangePage: (_, window: ByteRange, limit) => {
      asked += 1;
      const first = window.offset / PAGE / 2;
      const last = Math.min(first + limit, ranges);
      const page = Array.from({ length: last - first }, (_unused, at) => ({
        offset: (first + at) * 2 * PAGE,
        length: PAGE,
      }));
      return last < ranges ? { ranges: page, next: last * 2 * PAGE } : { ranges: page };
    },
  };
  const streaming = await DataPlaneServer.start({ store: store as DiskStore, policies: own.policies });
  try {
    await own.store.create('fragmented', GIB);
    const { pathAndQuery } = own.grant('fragmented');
    const before = process.memoryUsage().rss;
    let found = 0;
    let peak = 0;
    let askedAhead = 0;
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      const url = `${streaming.origin}${pathAndQuery}&comp=pagelist`;
      get(url, { ca: streaming.caPem, agent: false }, resolve).once('error', reject);
    });
    let rest = '';
    for await (const part of incoming.setEncoding('latin1')) {
      if (askedAhead === 0) {
        // Nobody reads for a while: what is asked of the store ahead is what the sockets' buffers hold.
        for (let turn = 0; turn < 200; turn += 1) await setImmediate();
        askedAhead = asked;
      }
      const text = rest + (part as string);
      const cut = text.lastIndexOf('<PageRange>');
      found += text.slice(0, Math.max(cut, 0)).split('<PageRange>').length - 1;
      rest = text.slice(Math.max(cut, 0));
      peak = Math.max(peak, process.memoryUsage().rss);
    }
    found += rest.split('<PageRange>').length - 1;
    expect(askedAhead).toBeLessThan(300);
    expect(found).toBe(ranges + 1);
    expect(asked).toBeGreaterThanOrEqual(1000);
    expect(peak - before).toBeLessThan(300 * MIB);
  } finally {
    await streaming.stop();
    await own.stop();
  }
});

test('the ranges of a list, page by page with any window and page size, are the ranges of the whole list in that window', async () => {
  const { store } = server;
  await store.create('grown', 200 * 512);
  await store.write('grown', 4096, Buffer.alloc(40 * 512, 1));
  await server.snapshot('grown', 'grown1');
  await store.clear('grown', 8192, 8192);
  await store.resize('grown', 333 * 512);
  await store.write('grown', 210 * 512, Buffer.alloc(3 * 512, 2));
  await server.snapshot('grown', 'grown2');
  const [older, newer] = [server.grant('grown1'), server.grant('grown2')];
  const length = 334 * 512;
  const read = async (grant: typeof older) => (await server.raw(grant.pathAndQuery)).body;
  const [oldBytes, newBytes] = [await read(older), await read(newer)];
  expect([oldBytes.length, newBytes.length]).toEqual([201 * 512, length]);
  const window = record({
    first: integer({ min: 0, max: 333 }),
    count: integer({ min: 1, max: 334 }),
    size: integer({ min: 1, max: 4 }),
  });
  await assert(
    asyncProperty(array(window, { minLength: 1, maxLength: 3 }), async (windows) => {
      for (const { first, count, size } of windows) {
        const end = Math.min((first + count) * 512, length);
        const image = Buffer.alloc(length);
        oldBytes.copy(image);
        for await (const { start, stop, clear } of pagedDiff(
          newer.pathAndQuery,
          server.url(older),
          first * 512,
          end,
          size,
        )) {
          expect(start >= first * 512 && stop <= end).toBe(true);
          if (clear) image.fill(0, start, stop);
          else newBytes.copy(image, start, start, stop);
        }
        // In the window the older blob, with the differences applied, is the newer blob.
        expect(image.subarray(first * 512, end).equals(newBytes.subarray(first * 512, end))).toBe(true);
      }
    }),
    { numRuns: 40 },
  );
});

async function* pagedDiff(path: string, previous: string, first: number, end: number, size: number) {
  let marker: string | undefined = '';
  let at = first;
  while (marker !== undefined) {
    const { body, status } = await server.raw(`${path}&comp=pagelist&maxresults=${size}&marker=${marker}`, {
      headers: { 'x-ms-previous-snapshot-url': previous, 'x-ms-range': `bytes=${first}-${end - 1}` },
    });
    expect(status).toBe(200);
    const text = body.toString('utf8');
    const found = text.matchAll(/<(Page|Clear)Range><Start>(\d+)<\/Start><End>(\d+)<\/End>/g).toArray();
    expect(found.length).toBeLessThanOrEqual(size);
    for (const [, kind, start, stop] of found) {
      expect(Number(start)).toBeGreaterThanOrEqual(at);
      at = Number(stop) + 1;
      yield { start: Number(start), stop: at, clear: kind === 'Clear' };
    }
    marker = /<NextMarker>(.+)<\/NextMarker>/.exec(text)?.[1];
  }
}

test('the check sum is CRC-64/NVME, at every length and alignment', () => {
  const bitwise = (bytes: Buffer) => {
    let crc = 0xffffffffffffffffn;
    for (const byte of bytes) {
      crc ^= BigInt(byte);
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n;
    }
    const result = Buffer.alloc(8);
    result.writeBigUInt64LE(crc ^ 0xffffffffffffffffn);
    return result.toString('base64');
  };
  // The catalogue's check value, AE8B14860A799888.
  expect(Buffer.from(crc64(Buffer.from('123456789')), 'base64').toString('hex')).toBe('8898790a86148bae');
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, at) => (at * 151) & 255));
  for (let from = 0; from < 9; from += 1) {
    for (let to = from; to < 40; to += 1)
      expect(crc64(bytes.subarray(from, to))).toBe(bitwise(bytes.subarray(from, to)));
  }
});
