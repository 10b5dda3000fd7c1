import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ContainerClient } from '@azure/storage-blob';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AzureLockableStore } from '../../lib/azure/index.ts';
import { AdjustableClock } from '../../local/azure/clock.ts';
import { ensureTls } from '../../local/azure/tls.ts';
import { WormBlobService } from '../../local/azure/worm/index.ts';
import { describeBlobStore } from '../conformance/blobStore.ts';
import { collect } from '../datapath/lab.ts';
import { fakeCredential, trustAuthority } from '../support/azurite.ts';
import { describeLockableStore } from './immutabilityConformance.ts';

const clock = new AdjustableClock();
let folder: string;
let worm: WormBlobService;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-worm-'));
  const tls = await ensureTls(folder);
  trustAuthority(tls.caPem);
  worm = await WormBlobService.start({ tls, clock });
});
afterAll(async () => {
  await worm.stop();
  await rm(folder, { recursive: true, force: true });
});

let made = 0;
async function open(): Promise<AzureLockableStore> {
  const store = new AzureLockableStore(`${worm.url}/repo/box${++made}`, fakeCredential());
  await store.ensureContainer();
  return store;
}
const DAY = 86_400_000;
const inDays = (days: number) => new Date(Math.floor(clock.now().getTime() / 1000) * 1000 + days * DAY);

describeBlobStore('Azure Blob Storage with versions', open);
describeLockableStore('Azure Blob Storage with version-level immutability', async () => ({
  store: await open(),
  now: () => clock.now(),
  pass: (ms) => clock.advance(ms),
}));

test('storage itself refuses what the adapter does not even try: removal, shortening, lifting', async () => {
  const store = await open();
  const until = inDays(5);
  await store.createLocked('x', Buffer.from('1'), until);
  const container = new ContainerClient(`${worm.url}/repo/box${made}`, fakeCredential());
  const { versionId = '' } = await container.getBlobClient('x').getProperties();
  const version = container.getBlobClient('x').withVersion(versionId);
  const refused = async (call: Promise<unknown>) =>
    call.then(
      () => null,
      ({ statusCode, code }: { statusCode: number; code: string }) => ({ statusCode, code }),
    );
  expect(await refused(version.delete())).toEqual({ statusCode: 403, code: 'OperationNotAllowedOnRootBlob' });
  await container.getBlobClient('x').delete();
  expect(await refused(version.delete())).toEqual({ statusCode: 409, code: 'BlobImmutableDueToPolicy' });
  for (const policyMode of ['Locked', 'Unlocked'] as const) {
    const shorter = { expiriesOn: inDays(1), policyMode };
    expect(await refused(version.setImmutabilityPolicy(shorter))).toMatchObject({ statusCode: 409 });
  }
  expect(await refused(version.deleteImmutabilityPolicy())).toMatchObject({ statusCode: 409 });
  expect((await store.lockOf('x', versionId))?.until).toEqual(until);
});

test('a refusal that comes from storage alone carries the date too', async () => {
  const store = await open();
  await store.createLocked('x', Buffer.from('1'), inDays(5));
  await store.remove('x');
  const [{ version } = { version: '' }] = await collect(store.listVersions('x'));
  // The adapter asks, and sees no lock; storage knows better.
  worm.faults.push({
    method: 'DELETE',
    path: /versionid/,
    effect: { status: 409, code: 'BlobImmutableDueToPolicy' },
    times: 1,
  });
  clock.advance(6 * DAY);
  await expect(store.removeVersion('x', version)).rejects.toMatchObject({ code: 'conflict', target: 'x' });
  expect(worm.faults.every(({ times }) => times === 0)).toBe(true);
  await store.removeVersion('x', version);
});

test('a policy whose answer was lost is set again, and one that was not set shows in the reading', async () => {
  const store = await open();
  await store.create('x', Buffer.from('1'));
  worm.faults.push({
    method: 'PUT',
    path: /immutabilityPolicies/,
    effect: { status: 500, code: 'InternalError', after: true },
    times: 1,
  });
  const until = inDays(2);
  await store.extend('x', until);
  expect((await store.lockOf('x'))?.until).toEqual(until);
  worm.faults.push({ method: 'PUT', path: /immutabilityPolicies/, effect: 'ignorePolicy', times: 1 });
  await store.extend('x', inDays(4));
  expect((await store.lockOf('x'))?.until).toEqual(until);
  expect(worm.faults.every(({ times }) => times === 0)).toBe(true);
});
