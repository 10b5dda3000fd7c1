import { expect, test } from 'vitest';
import {
  createChain,
  createRepository,
  decodeChainKeys,
  encodeChainKeys,
  listChains,
  MemoryBlobStore,
  openChain,
  openRepository,
  readOwner,
  recoverDescriptor,
  rememberRepository,
  takeOwnership,
} from '../../lib/repository/index.ts';
import { CHEAP, collect, MACHINE, PASSWORD } from '../datapath/lab.ts';

const NOW = new Date('2026-11-21T10:00:00Z');
const SESSION = '01jd0000000000000000';
const CHAIN = '0123456789abcdef';

async function repository(unlock = PASSWORD) {
  const meta = new MemoryBlobStore('meta');
  const data = new MemoryBlobStore('data');
  const created = await createRepository({ meta, data, unlock, now: NOW, scrypt: CHEAP });
  return { meta, data, created };
}

const founding = {
  id: CHAIN,
  machine: { id: MACHINE, armId: '/s/vm', name: 'vm1' },
  session: SESSION,
  createdAt: NOW.toISOString(),
};

test('the password opens what it created, and gives the same keys', async () => {
  const { meta, data, created } = await repository();
  const opened = await openRepository({
    meta,
    data,
    unlock: PASSWORD,
    remembered: rememberRepository(created),
  });
  expect(rememberRepository(opened)).toEqual(rememberRepository(created));
  expect(encodeChainKeys(opened.keys.chain(CHAIN))).toEqual(encodeChainKeys(created.keys.chain(CHAIN)));
});

test('a wrong password is refused as such', async () => {
  const { meta, data } = await repository();
  await expect(openRepository({ meta, data, unlock: { password: 'wrong' } })).rejects.toMatchObject({
    code: 'wrongPassword',
    message: expect.not.stringContaining('wrong,') as string,
  });
});

test('a password is the same however its accents are composed', async () => {
  const { meta, data } = await repository({ password: 'caf\u00e9' });
  await expect(openRepository({ meta, data, unlock: { password: 'cafe\u0301' } })).resolves.toBeDefined();
});

test('no repository, an empty password, a second repository: each says so', async () => {
  const meta = new MemoryBlobStore('meta');
  const data = new MemoryBlobStore('data');
  await expect(openRepository({ meta, data, unlock: PASSWORD })).rejects.toMatchObject({
    code: 'missingObject',
  });
  await expect(
    createRepository({ meta, data, unlock: { password: '' }, now: NOW, scrypt: CHEAP }),
  ).rejects.toMatchObject({ code: 'invalidInput' });
  await createRepository({ meta, data, unlock: PASSWORD, now: NOW, scrypt: CHEAP });
  await expect(
    createRepository({ meta, data, unlock: PASSWORD, now: NOW, scrypt: CHEAP }),
  ).rejects.toMatchObject({ code: 'alreadyExists' });
});

test('another repository in the place of the remembered one is refused', async () => {
  const { created } = await repository();
  const other = await repository();
  const plain = await repository({ mode: 'none' });
  const remembered = rememberRepository(created);
  await expect(openRepository({ ...other, unlock: PASSWORD, remembered })).rejects.toMatchObject({
    code: 'repositoryMismatch',
  });
  await expect(openRepository({ ...plain, unlock: { mode: 'none' }, remembered })).rejects.toMatchObject({
    code: 'repositoryMismatch',
  });
});

test('a descriptor that was rolled back is refused', async () => {
  const { meta, data, created } = await repository();
  const remembered = { ...rememberRepository(created), counter: 2 };
  await expect(openRepository({ meta, data, unlock: PASSWORD, remembered })).rejects.toMatchObject({
    code: 'repositoryMismatch',
  });
});

test('encrypted and unencrypted are never taken for each other', async () => {
  const encrypted = await repository();
  const plain = await repository({ mode: 'none' });
  await expect(openRepository({ ...encrypted, unlock: { mode: 'none' } })).rejects.toMatchObject({
    code: 'repositoryMismatch',
  });
  await expect(openRepository({ ...plain, unlock: PASSWORD })).rejects.toMatchObject({
    code: 'repositoryMismatch',
  });
});

test('founding a chain may be repeated by its session, and by nobody else', async () => {
  const { created } = await repository();
  const first = await createChain(created, { ...founding, blockBytes: 65536 });
  const again = await createChain(created, { ...founding, blockBytes: 65536 });
  expect(again.blockBytes).toBe(first.blockBytes);
  await expect(createChain(created, { ...founding, session: '01jd0000000000000001' })).rejects.toMatchObject({
    code: 'alreadyExists',
  });
  expect(await collect(listChains(created))).toEqual([CHAIN]);
  expect((await openChain(created, CHAIN)).machine).toEqual(founding.machine);
});

test('a lost descriptor is made again from the slots that each chain carries', async () => {
  const { meta, data, created } = await repository();
  const remembered = rememberRepository(created);
  const stores = { meta, data, now: NOW };
  await createChain(created, founding);
  await meta.remove('repository');
  await expect(openRepository({ meta, data, unlock: PASSWORD })).rejects.toMatchObject({
    code: 'missingObject',
  });
  await expect(recoverDescriptor({ ...stores, unlock: { password: 'wrong' } })).rejects.toMatchObject({
    code: 'wrongPassword',
  });
  const recovered = await recoverDescriptor({ ...stores, unlock: PASSWORD, remembered });
  expect(rememberRepository(recovered)).toEqual({ ...remembered, counter: 2 });
  expect((await openChain(recovered, CHAIN)).machine).toEqual(founding.machine);
  // With a descriptor it only opens.
  expect((await recoverDescriptor({ ...stores, unlock: PASSWORD, remembered })).counter).toBe(2);
  const empty = { meta: new MemoryBlobStore(), data, now: NOW };
  await expect(recoverDescriptor({ ...empty, unlock: PASSWORD })).rejects.toMatchObject({
    code: 'missingObject',
  });
});

test("a chain's name of the machine cannot be read without the key", async () => {
  const { created, meta } = await repository();
  await createChain(created, { ...founding, machine: { ...founding.machine, name: 'secret-name' } });
  for await (const { name } of meta.list('')) {
    const text = (await meta.read(name)).bytes.toString('latin1');
    expect(text).not.toContain('secret-name');
    expect(text).not.toContain(Buffer.from('secret-name').toString('base64').slice(0, 8));
  }
});

test('keys of a chain survive the way to a worker, and open no other chain', async () => {
  const { created } = await repository();
  const keys = created.keys.chain(CHAIN);
  expect(encodeChainKeys(decodeChainKeys(encodeChainKeys(keys)))).toEqual(encodeChainKeys(keys));
  const other = encodeChainKeys(created.keys.chain('fedcba9876543210'));
  expect(other.subarray(2, 34)).not.toEqual(encodeChainKeys(keys).subarray(2, 34));
  expect(() => decodeChainKeys(Buffer.alloc(32))).toThrow(/chain key/);
});

test('one installation owns a repository; another must take it over', async () => {
  const { created } = await repository();
  expect(await readOwner(created)).toBeNull();
  const owner = await takeOwnership(created, { installation: 'one', now: NOW });
  expect(await takeOwnership(created, { installation: 'one', now: NOW })).toMatchObject(owner);
  await expect(takeOwnership(created, { installation: 'two', now: NOW })).rejects.toMatchObject({
    code: 'notOwner',
  });
  expect(await takeOwnership(created, { installation: 'two', now: NOW, takeOver: true })).toMatchObject({
    counter: 2,
  });
  await expect(takeOwnership(created, { installation: 'one', now: NOW })).rejects.toMatchObject({
    code: 'notOwner',
  });
});
