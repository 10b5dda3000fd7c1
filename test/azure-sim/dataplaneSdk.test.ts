import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DataPlaneServer, MIB } from './dataplaneServer.ts';

const SIZE = 64 * MIB;
const PAGE = 4096;
let server: DataPlaneServer;

beforeAll(async () => {
  server = await DataPlaneServer.start();
  const { store } = server;
  await store.create('disk', SIZE);
  await store.write('disk', 0, Buffer.alloc(2 * PAGE, 1));
  await store.write('disk', 8 * MIB, Buffer.alloc(PAGE, 2));
  await store.write('disk', 16 * MIB, Buffer.alloc(PAGE, 3));
  await server.snapshot('disk', 'snap1');
  await store.write('disk', PAGE, Buffer.alloc(PAGE, 4));
  await store.clear('disk', 8 * MIB, PAGE);
  await store.write('disk', 32 * MIB, Buffer.alloc(PAGE, 5));
  await server.snapshot('disk', 'snap2');
});
afterAll(() => server.stop());
beforeEach(() => {
  server.log.length = 0;
});

test('the client lists allocated ranges, footer included', async () => {
  const { pageRange, clearRange, blobContentLength } = await server
    .client(server.grant('snap1'))
    .getPageRanges();
  // The client's `count` is one less than the length.
  expect(pageRange).toEqual([
    { offset: 0, count: 2 * PAGE - 1 },
    { offset: 8 * MIB, count: PAGE - 1 },
    { offset: 16 * MIB, count: PAGE - 1 },
    { offset: SIZE, count: 511 },
  ]);
  expect(clearRange).toEqual([]);
  expect(blobContentLength).toBe(SIZE + 512);
});

test('the client gets the difference of two snapshots of one family, changed and cleared', async () => {
  const previous = server.url(server.grant('snap1'));
  const client = server.client(server.grant('snap2'));
  const diff = await client.getPageRangesDiffForManagedDisks(0, SIZE, previous);
  expect(diff.pageRange).toEqual([
    { offset: PAGE, count: PAGE - 1 },
    { offset: 32 * MIB, count: PAGE - 1 },
  ]);
  expect(diff.clearRange).toEqual([{ offset: 8 * MIB, count: PAGE - 1 }]);
  const window = await client.getPageRangesDiffForManagedDisks(0, 8 * MIB + 512, previous);
  expect(window.pageRange).toEqual([{ offset: PAGE, count: PAGE - 1 }]);
  expect(window.clearRange).toEqual([{ offset: 8 * MIB, count: 511 }]);
  expect(server.log.map(({ operation, target }) => [operation, target])).toEqual([
    ['GetPageRangesDiff', 'snap2'],
    ['GetPageRangesDiff', 'snap2'],
  ]);
});

test('a managed disk URL as prevsnapshot is refused', async () => {
  const previous = server.url(server.grant('snap1'));
  await expect(
    server.client(server.grant('snap2')).getPageRangesDiff(0, SIZE, previous),
  ).rejects.toMatchObject({
    statusCode: 400,
    code: 'InvalidQueryParameterValue',
  });
});

test('the paged list follows markers', async () => {
  const pages = [];
  for await (const page of server.client(server.grant('snap1')).listPageRanges().byPage({ maxPageSize: 2 })) {
    pages.push(page.pageRange?.map(({ start }) => start));
  }
  expect(pages).toEqual([
    [0, 8 * MIB],
    [16 * MIB, SIZE],
  ]);
});

test('properties and bytes of a snapshot are those of the fixed VHD', async () => {
  const client = server.client(server.grant('snap2'));
  const properties = await client.getProperties();
  expect(properties).toMatchObject({
    contentLength: SIZE + 512,
    blobType: 'PageBlob',
    copyStatus: 'success',
    isIncrementalCopy: true,
    blobSequenceNumber: 0,
    metadata: { pirtag: '1' },
  });
  const bytes = await client.downloadToBuffer(0, undefined, { blockSize: 8 * MIB, concurrency: 3 });
  expect(bytes.subarray(0, SIZE).equals(await server.store.read('snap2', 0, SIZE))).toBe(true);
  expect(bytes.toString('latin1', SIZE, SIZE + 8)).toBe('conectix');
});

test('an uploaded disk is written with the client and becomes a disk', async () => {
  await server.store.createForUpload('upload', SIZE + 512);
  const grant = server.grant('upload', 'Write', { container: 'md-impexp-1' });
  const client = server.client(grant);
  const part = Buffer.alloc(4 * MIB, 7);
  const answer = await client.uploadPages(part, 4 * MIB, part.length);
  expect(answer).toMatchObject({ blobSequenceNumber: 0, isServerEncrypted: true });
  await client.uploadPages(part.subarray(0, 1024), 8 * MIB, 1024);
  await client.clearPages(8 * MIB, 512);
  await client.uploadPages(part.subarray(0, 512), SIZE, 512);
  expect(await server.store.read('upload', 8 * MIB, 1536)).toEqual(
    Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 7), Buffer.alloc(512)]),
  );
  const { pageRange } = await client.getPageRanges();
  expect(pageRange).toEqual([
    { offset: 4 * MIB, count: 4 * MIB + PAGE - 1 },
    { offset: SIZE, count: 511 },
  ]);
  await server.store.completeUpload('upload');
  expect(server.store.stat('upload')).toMatchObject({
    sizeBytes: SIZE,
    uploading: false,
    allocatedBytes: 4 * MIB + PAGE,
  });
});

test('a revoked access ends at once, a second one of the same snapshot stands', async () => {
  const [first, second] = [server.grant('snap1'), server.grant('snap1')];
  await server.client(first).getProperties();
  expect(server.policies.revoke(first.si)).toBe(true);
  await expect(server.client(first).getPageRanges()).rejects.toMatchObject({
    statusCode: 403,
    code: 'AuthenticationFailed',
  });
  await server.client(second).getProperties();
});

test('a disk that asks for a token challenges the client, which then sends one', async () => {
  const tokens = await DataPlaneServer.start({
    verifyToken: (authorization) => authorization === 'Bearer good',
  });
  try {
    await tokens.store.create('disk', MIB);
    const grant = tokens.grant('disk', 'Read', { requiresToken: true });
    await expect(tokens.client(grant).getProperties()).rejects.toMatchObject({ statusCode: 401 });
    const { PageBlobClient } = await import('@azure/storage-blob');
    const scopes: unknown[] = [];
    const credential = {
      getToken: async (scope: string | string[]) => {
        scopes.push(scope);
        // The client may try its own audience first; only the disk's is honoured.
        const token = String(scope).startsWith('https://disk.compute.azure.com') ? 'good' : 'bad';
        return { token, expiresOnTimestamp: Date.now() + 3_600_000 };
      },
    };
    const client = new PageBlobClient(tokens.url(grant), credential, {
      retryOptions: { maxTries: 1 },
      ...tokens.trust(),
    });
    expect((await client.getProperties()).contentLength).toBe(MIB + 512);
    expect(scopes.length).toBeGreaterThan(0);
  } finally {
    await tokens.stop();
  }
});
