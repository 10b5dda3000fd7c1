import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BlobServiceClient, ContainerClient } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AzureBlobStore } from '../../lib/azure/blobs.ts';
import { SasIssuer } from '../../lib/azure/sas.ts';
import { type Clock, MiB } from '../../lib/model/index.ts';
import type { BlobInfo } from '../../lib/repository/blobStore.ts';
import { describeBlobStore } from '../conformance/blobStore.ts';
import { type Azurite, startAzurite } from '../support/azurite.ts';
import { failure } from './failure.ts';

let azurite: Azurite;
let service: BlobServiceClient;
beforeAll(async () => {
  azurite = await startAzurite();
  service = new BlobServiceClient(azurite.blobUrl('holdfastrepo'), azurite.credential());
});
afterAll(() => azurite.stop());

let made = 0;
async function newContainer(): Promise<string> {
  const name = `box${++made}`;
  await service.createContainer(name);
  return name;
}
const urlOf = (container: string) => `${azurite.blobUrl('holdfastrepo')}/${container}`;
const open = (container: string) => AzureBlobStore.withCredential(urlOf(container), azurite.credential());
const all = async (listing: AsyncIterable<BlobInfo>) => {
  const found: BlobInfo[] = [];
  for await (const info of listing) found.push(info);
  return found;
};

describeBlobStore('Azure Blob Storage', async () => open(await newContainer()));

describe('a container of Azure Blob Storage', () => {
  it('says the same of an object in every way: answers and listings spell etags differently', async () => {
    const store = open(await newContainer());
    const bytes = Buffer.from('a pack of blocks');
    const created = await store.create('chains/x/packs/1-0-1-0.pack', bytes);
    const read = await store.read('chains/x/packs/1-0-1-0.pack');
    expect(read).toEqual({ name: 'chains/x/packs/1-0-1-0.pack', size: bytes.length, bytes, ...created });
    const { bytes: _, ...info } = read;
    expect(await store.stat('chains/x/packs/1-0-1-0.pack')).toEqual(info);
    expect(await all(store.list('chains/'))).toEqual([info]);
    const [{ etag } = { etag: '' }] = await all(store.list('chains/'));
    await store.replace('chains/x/packs/1-0-1-0.pack', bytes, etag);
  });

  it('has nothing from its end on', async () => {
    const store = open(await newContainer());
    await store.create('o', Buffer.from('0123456789'));
    expect(await store.read('o', { offset: 10, length: 5 })).toMatchObject({
      bytes: Buffer.alloc(0),
      size: 10,
    });
  });

  it('that was never made is a matter of configuration, not a missing object', async () => {
    const nowhere = open('never-made');
    const calls = [
      () => nowhere.read('o'),
      () => nowhere.stat('o'),
      () => nowhere.create('o', Buffer.alloc(1)),
      () => all(nowhere.list('')),
    ];
    for (const call of calls) expect(await failure(call())).toMatchObject({ code: 'notConfigured' });
  });

  it('keeps whole packs', async () => {
    const store = open(await newContainer());
    const pack = Buffer.alloc(17 * MiB, 'pack');
    await store.create('pack', new Uint8Array(pack.buffer, pack.byteOffset, pack.byteLength));
    expect((await store.read('pack')).bytes.equals(pack)).toBe(true);
  });

  it('has a name for messages', () => {
    expect(open('data').name).toBe('holdfastrepo/data');
    expect(AzureBlobStore.withSas('https://acc.blob.core.windows.net/data?sv=1&sig=SECRET').name).toBe(
      'acc/data',
    );
  });

  it('ends with the caller’s reason', async () => {
    const reason = new Error('over');
    const store = open(await newContainer());
    await expect(store.read('o', undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('is made once', async () => {
    const store = open('made-once');
    await store.ensureContainer();
    await store.ensureContainer();
    expect(await store.create('o', Buffer.alloc(1))).toHaveProperty('etag');
  });
});

describe('a worker’s SAS', () => {
  const issuer = () => new SasIssuer(azurite.blobUrl('holdfastrepo'), azurite.credential());

  it('creates and reads', async () => {
    const container = await newContainer();
    const { url, expiresAt } = await issuer().forWorker(container, 3600);
    expect(expiresAt.getTime() - Date.now()).toBeLessThanOrEqual(3_600_000);
    const store = AzureBlobStore.withSas(url);
    await store.create('chains/x/p', Buffer.from('bytes'));
    expect((await store.read('chains/x/p')).bytes.toString()).toBe('bytes');
    expect(await store.stat('chains/x/p')).toMatchObject({ size: 5 });
    expect(store.name).toBe(`holdfastrepo/${container}`);
  });

  it('cannot overwrite: an existing name is alreadyExists, whatever storage calls it', async () => {
    const container = await newContainer();
    await open(container).create('o', Buffer.from('first'));
    const store = AzureBlobStore.withSas((await issuer().forWorker(container, 600)).url);
    expect(await failure(store.create('o', Buffer.from('other')))).toMatchObject({
      code: 'alreadyExists',
      target: 'o',
    });
    const { etag } = await open(container).create('p', Buffer.from('first'));
    expect(await failure(store.replace('p', Buffer.from('other'), etag))).toMatchObject({
      code: 'accessDenied',
    });
    // With the SDK, past everything that the store adds.
    const raw = new ContainerClient((await issuer().forWorker(container, 600)).url);
    await expect(raw.getBlockBlobClient('o').upload('other', 5)).rejects.toMatchObject({ statusCode: 403 });
    expect((await open(container).read('o')).bytes.toString()).toBe('first');
  });

  it('cannot list, delete, or touch another container', async () => {
    const container = await newContainer();
    const meta = await newContainer();
    await open(container).create('o', Buffer.from('first'));
    await open(meta).create('repository', Buffer.from('secret'));
    const { url } = await issuer().forWorker(container, 600);
    const store = AzureBlobStore.withSas(url);
    expect(await failure(all(store.list('')))).toMatchObject({ code: 'accessDenied' });
    expect(await failure(store.remove('o'))).toMatchObject({ code: 'accessDenied' });
    const other = AzureBlobStore.withSas(url.replace(`/${container}?`, `/${meta}?`));
    expect(await failure(other.read('repository'))).toMatchObject({ code: expect.stringMatching(/^access/) });
    expect(await failure(other.create('x', Buffer.alloc(1)))).toMatchObject({
      code: expect.stringMatching(/^access/),
    });
    expect((await open(container).read('o')).bytes.toString()).toBe('first');
  });

  it('that is over is accessExpired', async () => {
    const container = await newContainer();
    let now = Date.now() - 3_700_000;
    const clock: Clock = { now: () => new Date(now), sleep: () => Promise.resolve() };
    const { url } = await new SasIssuer(
      azurite.blobUrl('holdfastrepo'),
      azurite.credential(),
      clock,
    ).forWorker(container, 60);
    now = Date.now();
    expect(await failure(AzureBlobStore.withSas(url).read('o'))).toMatchObject({
      code: 'accessExpired',
      retryable: true,
    });
  });

  it('says what it is: https, create and read, an hour at most', async () => {
    const { url } = await issuer().forWorker('data', 3600);
    const query = new URL(url).searchParams;
    expect(query.get('sp')?.split('').sort().join('')).toBe('cr');
    expect(query.get('spr')).toBe('https');
    expect(query.get('sr')).toBe('c');
    expect(query.has('skoid')).toBe(true);
    expect(await failure(issuer().forWorker('data', 3601))).toMatchObject({ code: 'invalidInput' });
  });

  it('for one blob reads that one', async () => {
    const container = await newContainer();
    await open(container).create('worker/abc.tgz', Buffer.from('tarball'));
    await open(container).create('worker/other', Buffer.from('other'));
    const { url } = await issuer().forReading(container, 'worker/abc.tgz', 600);
    expect(await (await fetch(url)).text()).toBe('tarball');
    expect((await fetch(url.replace('abc.tgz', 'other'))).status).toBe(403);
    expect(
      (await fetch(url, { method: 'PUT', headers: { 'x-ms-blob-type': 'BlockBlob' }, body: 'x' })).status,
    ).toBe(403);
  });

  it('is signed with a key that is asked for once, and anew before it ends', async () => {
    let asked = 0;
    const inner = azurite.credential();
    let now = Date.now();
    const clock: Clock = { now: () => new Date(now), sleep: () => Promise.resolve() };
    const counted = new SasIssuer(
      azurite.blobUrl('holdfastrepo'),
      {
        getToken: (...args) => {
          asked++;
          return inner.getToken(...args);
        },
      },
      clock,
    );
    const keys = new Set<string | null>();
    const issue = async () =>
      keys.add(new URL((await counted.forWorker('data', 3600)).url).searchParams.get('ske'));
    await Promise.all([issue(), issue(), issue()]);
    expect(keys.size).toBe(1);
    now += 4 * 3600_000;
    await issue();
    expect(keys.size).toBe(1);
    now += 3600_000;
    await issue();
    expect(keys.size).toBe(2);
    expect(asked).toBeGreaterThan(0);
  });
});

describe('storage that fails', () => {
  it('with the refusal of a create-only SAS on Azure is alreadyExists for create', async () => {
    const server = createServer((_, response) => {
      response.writeHead(403, {
        'x-ms-error-code': 'UnauthorizedBlobOverwrite',
        'content-type': 'application/xml',
      });
      response.end(
        '<?xml version="1.0"?><Error><Code>UnauthorizedBlobOverwrite</Code><Message>This request is not authorized to perform blob overwrites.\nRequestId:1</Message></Error>',
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const store = AzureBlobStore.withSas(`http://127.0.0.1:${port}/acc/data?sv=1&sr=c&sig=SECRET`);
    const error = await failure(store.create('o', Buffer.from('x')));
    expect(error).toMatchObject({ code: 'alreadyExists', target: 'o' });
    expect(error.message).not.toContain('SECRET');
    server.closeAllConnections();
    server.close();
  });
});
