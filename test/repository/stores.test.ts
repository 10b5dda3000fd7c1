import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FolderBlobStore, MemoryBlobStore } from '../../lib/repository/index.ts';
import { describeBlobStore } from '../conformance/blobStore.ts';

let root = '';
let folders = 0;
const folder = () => join(root, String(folders++));
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-stores-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describeBlobStore('memory', () => Promise.resolve(new MemoryBlobStore()));
describeBlobStore('folder', () => Promise.resolve(new FolderBlobStore(folder())));

test('a folder holds objects as files, and no scratch file stays', async () => {
  const path = folder();
  const store = new FolderBlobStore(path);
  const { etag } = await store.create('chains/a/chain', Buffer.from('x'));
  await store.replace('chains/a/chain', Buffer.from('y'), etag);
  expect(await readdir(join(path, 'chains', 'a'))).toEqual(['chain']);
  expect(await readdir(join(path, '.holdfast-scratch'))).toEqual([]);
});

test('a name cannot leave its folder', async () => {
  const store = new FolderBlobStore(folder());
  for (const name of ['../x', 'a/../../x', '/x', 'a//b', '.holdfast-scratch/x', 'a\\b']) {
    await expect(store.create(name, Buffer.from('x'))).rejects.toMatchObject({ code: 'invalidInput' });
  }
});

test('a foreign file in the folder is listed and does no harm', async () => {
  const path = folder();
  const store = new FolderBlobStore(path);
  await store.create('a', Buffer.from('x'));
  await writeFile(join(path, 'desktop.ini'), 'z');
  const names: string[] = [];
  for await (const { name } of store.list('')) names.push(name);
  expect(names).toEqual(['a', 'desktop.ini']);
});
