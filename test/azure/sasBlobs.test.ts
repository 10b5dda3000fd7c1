import { createHash, randomBytes } from 'node:crypto';
import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AzureBlobStore } from '../../lib/azure/blobs.ts';
import { closeDiskConnections } from '../../lib/azure/diskAccess.ts';
import { SasIssuer } from '../../lib/azure/sas.ts';
import { SasBlobStore } from '../../lib/azure/sasBlobs.ts';
import { MiB } from '../../lib/model/index.ts';
import { type Azurite, startAzurite } from '../support/azurite.ts';
import { failure } from './failure.ts';

let azurite: Azurite;
let sdk: AzureBlobStore;
let store: SasBlobStore;
let url: string;
beforeAll(async () => {
  azurite = await startAzurite();
  const service = new BlobServiceClient(azurite.blobUrl('holdfastrepo'), azurite.credential());
  await service.createContainer('data');
  sdk = AzureBlobStore.withCredential(`${azurite.blobUrl('holdfastrepo')}/data`, azurite.credential());
  ({ url } = await new SasIssuer(azurite.blobUrl('holdfastrepo'), azurite.credential()).forWorker(
    'data',
    600,
  ));
  store = new SasBlobStore(url);
});
afterAll(async () => {
  await closeDiskConnections();
  await azurite.stop();
});

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

it('writes what the SDK reads, and reads what the SDK writes, whole and in ranges', async () => {
  const bytes = randomBytes(9 * MiB + 17);
  const written = await store.create('chains/x/packs/a b%c.pack', bytes);
  const there = await sdk.read('chains/x/packs/a b%c.pack');
  expect(digest(there.bytes)).toBe(digest(bytes));
  expect({ etag: there.etag, lastModified: there.lastModified }).toEqual(written);
  const read = await store.read('chains/x/packs/a b%c.pack');
  expect(digest(read.bytes)).toBe(digest(bytes));
  expect(await store.stat('chains/x/packs/a b%c.pack')).toEqual(await sdk.stat('chains/x/packs/a b%c.pack'));
  for (const range of [
    { offset: 0, length: 40 },
    { offset: 5 * MiB, length: 3 * MiB },
    { offset: bytes.length - 10, length: 4096 },
    { offset: bytes.length, length: 10 },
    { offset: 7, length: 0 },
  ]) {
    const ours = await store.read('chains/x/packs/a b%c.pack', range);
    const { offset, length } = range;
    expect(digest(ours.bytes)).toBe(digest(bytes.subarray(offset, offset + length)));
    expect(ours.size).toBe(bytes.length);
  }
});

it('says what is missing, what exists, and what a worker may not', async () => {
  expect(await store.stat('nothing')).toBeNull();
  expect(await failure(store.read('nothing'))).toMatchObject({ code: 'missingObject', target: 'nothing' });
  expect(await failure(store.read('nothing', { offset: 0, length: 5 }))).toMatchObject({
    code: 'missingObject',
  });
  await store.create('once', Buffer.from('first'));
  expect(await failure(store.create('once', Buffer.from('other')))).toMatchObject({
    code: 'alreadyExists',
    target: 'once',
  });
  expect((await store.read('once')).bytes.toString()).toBe('first');
  expect(await failure(store.replace('once'))).toMatchObject({ code: 'accessDenied' });
  expect(await failure(store.remove('once'))).toMatchObject({ code: 'accessDenied' });
  expect(await failure(store.list('').next())).toMatchObject({ code: 'accessDenied' });
});

it('a SAS that is refused is accessExpired, and the message keeps its signature', async () => {
  const forged = new URL(url);
  forged.searchParams.set('sig', Buffer.alloc(32, 7).toString('base64'));
  const other = new SasBlobStore(forged.href);
  expect(await failure(other.read('once'))).toMatchObject({ code: expect.stringMatching(/^access/) });
  expect(await failure(other.create('x', Buffer.alloc(1)))).toMatchObject({
    code: expect.stringMatching(/^access/),
  });
  expect(store.name).toBe('holdfastrepo/data');
});

it('ends with the caller’s reason, before and while it reads', async () => {
  const reason = new Error('over');
  await expect(store.read('once', undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const abort = new AbortController();
  const reading = store.read('chains/x/packs/a b%c.pack', undefined, { signal: abort.signal });
  abort.abort(reason);
  await expect(reading).rejects.toBe(reason);
  expect((await store.read('once')).size).toBe(5);
});
