import { KeyClient } from '@azure/keyvault-keys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KeyVaultKeys } from '../../lib/azure/index.ts';
import { HoldfastError } from '../../lib/model/index.ts';
import {
  addSlot,
  createRepository,
  MemoryBlobStore,
  openRepository,
  rememberRepository,
  removeSlot,
  rewrapSlot,
} from '../../lib/repository/index.ts';
import { Rig, SUBSCRIPTION } from '../azure-sim/rig.ts';
import { CHEAP, PASSWORD } from '../datapath/lab.ts';
import { trustAuthority } from '../support/azurite.ts';

let rig: Rig;
let vault: { id: string; url: string };
let app: string;
let admin: KeyClient;
beforeAll(async () => {
  rig = await Rig.start();
  trustAuthority(rig.simulator.tls.caPem);
  vault = rig.simulator.addKeyVault({ subscription: SUBSCRIPTION, group: 'protected', name: 'kv' });
  app = rig.principal('app', 'Key Vault Crypto Service Encryption User', vault.id);
  const officer = rig.principal('officer', 'Key Vault Crypto Officer', vault.id);
  admin = new KeyClient(vault.url, rig.simulator.credential(officer), {
    disableChallengeResourceVerification: true,
  });
});
afterAll(() => rig.stop());

const keys = (principal = app) =>
  new KeyVaultKeys(vault.url, rig.simulator.credential(principal), { maxRetries: 0 });
const SECRET = Buffer.alloc(32, 9);
async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof HoldfastError)) throw error ?? new Error('it should have failed');
  return error;
}

describe('keys of Azure Key Vault', () => {
  it('wrap with the newest version, say which it was, and unwrap with that one after a rotation', async () => {
    await admin.createRsaKey('rotating', { keySize: 2048 });
    const id = keys().keyId('rotating');
    const first = await keys().wrap(id, SECRET);
    expect(first.key).toMatch(/\/keys\/rotating\/[0-9a-f]{32}$/);
    await admin.rotateKey('rotating');
    const second = await keys().wrap(id, SECRET);
    expect(second.key).not.toBe(first.key);
    expect((await keys().wrap(first.key, SECRET)).key).toBe(first.key);
    expect(await keys().unwrap(first.key, first.wrapped)).toEqual(SECRET);
    expect(await keys().unwrap(second.key, second.wrapped)).toEqual(SECRET);
    expect(await failure(keys().unwrap(second.key, first.wrapped))).toMatchObject({ code: 'corruptObject' });
  });

  it('that cannot be used say what is wrong with which key, and what to do', async () => {
    const { properties } = await admin.createRsaKey('trouble');
    const id = keys().keyId('trouble');
    const { key, wrapped } = await keys().wrap(id, SECRET);
    const version = properties.version ?? '';
    const expected = (code: string, words: RegExp) => ({
      code,
      target: key,
      message: expect.stringMatching(words),
    });

    const nobody = rig.principal('nobody', 'Reader', vault.id);
    expect(await failure(keys(nobody).unwrap(key, wrapped))).toMatchObject(
      expected('accessDenied', /may not be used.*Crypto Service Encryption User/),
    );
    await admin.updateKeyProperties('trouble', version, { enabled: false });
    expect(await failure(keys().unwrap(key, wrapped))).toMatchObject(
      expected('notConfigured', /disabled.*Enable/),
    );
    await admin.updateKeyProperties('trouble', version, {
      enabled: true,
      expiresOn: new Date(Date.now() - 60_000),
    });
    expect(await failure(keys().unwrap(key, wrapped))).toMatchObject(
      expected('notConfigured', /outside its dates/),
    );
    await admin.updateKeyProperties('trouble', version, {
      expiresOn: new Date(Date.now() + 3_600_000),
      keyOps: ['sign'],
    });
    expect(await failure(keys().unwrap(key, wrapped))).toMatchObject(expected('notConfigured', /Allow both/));
    await admin.beginDeleteKey('trouble');
    expect(await failure(keys().unwrap(key, wrapped))).toMatchObject(expected('notFound', /recover/));
    expect(await failure(keys().wrap(id, SECRET))).toMatchObject({ code: 'notFound', target: id });
  });

  it('of another vault are never asked: no token goes where a descriptor points', async () => {
    const before = rig.simulator.requests({ surface: 'keyVault' }).length;
    const other = 'https://elsewhere.vault.azure.net/keys/k/0123';
    expect(await failure(keys().unwrap(other, SECRET))).toMatchObject({
      code: 'accessDenied',
      target: other,
    });
    expect(await failure(keys().wrap('not a key', SECRET))).toMatchObject({ code: 'invalidInput' });
    expect(rig.simulator.requests({ surface: 'keyVault' })).toHaveLength(before);
  });

  it('behind a vault that is not there are unavailable', async () => {
    const nowhere = new KeyVaultKeys('https://127.0.0.1:1', rig.simulator.credential(app), { maxRetries: 0 });
    expect(await failure(nowhere.wrap('https://127.0.0.1:1/keys/k', SECRET))).toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
  });

  it('found a repository, open it, survive rotation, and leave when a password has taken their place', async () => {
    await admin.createRsaKey('repository');
    const wrapper = keys();
    const key = wrapper.keyId('repository');
    const meta = new MemoryBlobStore('meta');
    const data = new MemoryBlobStore('data');
    const stores = { meta, data };
    const unlock = { keyVault: wrapper };
    const founded = await createRepository({ ...stores, unlock, keyVaultKey: key, now: new Date() });
    expect(rememberRepository(await openRepository({ ...stores, unlock }))).toEqual(
      rememberRepository(founded),
    );

    expect(await rewrapSlot({ ...stores, unlock, id: 'key-vault-1', keyVault: wrapper })).toMatchObject({
      changed: false,
    });
    const { id: rotated } = await admin.rotateKey('repository');
    const rewrapped = await rewrapSlot({ ...stores, unlock, id: 'key-vault-1', keyVault: wrapper });
    expect(rewrapped).toMatchObject({ changed: true, slot: { key: rotated } });
    // The version before is not needed any more.
    const versions: string[] = [];
    for await (const { version } of admin.listPropertiesOfKeyVersions('repository'))
      versions.push(version ?? '');
    await admin.updateKeyProperties('repository', versions[0] ?? '', { enabled: false });
    await openRepository({ ...stores, unlock, remembered: rememberRepository(rewrapped.repository) });

    await addSlot({
      ...stores,
      unlock,
      id: 'password-1',
      material: PASSWORD as { password: string },
      scrypt: CHEAP,
    });
    await admin.beginDeleteKey('repository');
    expect(await failure(openRepository({ ...stores, unlock }))).toMatchObject({
      code: 'notFound',
      message: expect.stringContaining('was not opened'),
    });
    await removeSlot({ ...stores, unlock: PASSWORD, id: 'key-vault-1' });
    expect((await openRepository({ ...stores, unlock: PASSWORD })).counter).toBe(4);
  });
});
