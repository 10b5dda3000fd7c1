import { EventEmitter } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PromptInput } from '../../cli/repo/prompt.ts';
import {
  addSlot,
  createRepository,
  FolderBlobStore,
  openRepository,
  rememberRepository,
} from '../../lib/repository/index.ts';
import { CHEAP } from '../datapath/lab.ts';
import { MemoryKeyWrapper } from '../repository/keysWrapper.ts';
import { offline, PASSWORD, temporaryFolder } from './offlineLab.ts';
import { run as runService, scriptedService } from './service.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

/** A new repository in a folder, with a Key Vault slot beside its password. */
async function founded(name: string) {
  const path = join(folder.path, name);
  const stores = {
    meta: new FolderBlobStore(join(path, 'meta')),
    data: new FolderBlobStore(join(path, 'data')),
  };
  await stores.meta.create('made', Buffer.from('x'));
  await stores.data.create('made', Buffer.from('x'));
  const unlock = { password: PASSWORD };
  await createRepository({ ...stores, unlock, now: new Date(), scrypt: CHEAP });
  const vault = new MemoryKeyWrapper();
  const material = { keyVault: vault, key: vault.key };
  await addSlot({ ...stores, unlock, id: 'vault', material });
  const opens = (password: string) =>
    openRepository({ ...stores, unlock: { password } }).then(
      () => true,
      () => false,
    );
  const keys = (argv: string[], env: Record<string, string> = {}, around = {}) =>
    offline(['keys', ...argv, '--repository', path], {
      env: { HOLDFAST_REPOSITORY_PASSWORD: PASSWORD, ...env },
      ...around,
    });
  return { path, stores, unlock, opens, keys, vault };
}
const NEW = { HOLDFAST_REPOSITORY_NEW_PASSWORD: 'battery staple' };

/** A terminal at which somebody types these lines, one for each question. */
function terminal(...lines: string[]): PromptInput {
  const input = new EventEmitter() as EventEmitter & PromptInput;
  return Object.assign(input, {
    isTTY: true,
    setRawMode: () => undefined,
    setEncoding: () => undefined,
    pause: () => undefined,
    resume: () => queueMicrotask(() => input.emit('data', `${lines.shift() ?? ''}\r`)),
  });
}

describe('repo keys', () => {
  test('list shows each slot and the one that was opened, and nothing of their secrets', async () => {
    const { keys } = await founded('list');
    const { code, out } = await keys(['list', '-o', 'json']);
    expect([code, JSON.parse(out)]).toEqual([
      0,
      [
        { id: 'password-1', kind: 'password', key: null, opened: true },
        {
          id: 'vault',
          kind: 'keyVault',
          key: expect.stringMatching(/^https:\/\/vault.example\/keys\/repository\//) as string,
          opened: false,
        },
      ],
    ]);
    expect((await keys(['list'])).out.split('\n')[0]).toMatch(/^SLOT +KIND +KEY +OPENED/);
  });

  test('add makes a second password, from the environment, a file or a terminal', async () => {
    const { keys, opens, path } = await founded('add');
    expect(await keys(['add', 'second', '-o', 'tsv'], NEW)).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^password-1\tpassword\t\nvault\tkeyVault\t.*\nsecond\tpassword\t\n$/,
      ) as string,
      err: expect.stringContaining('Added the password "second"') as string,
    });
    // The same again is no change.
    expect((await keys(['add', 'second'], NEW)).err).toContain('nothing was changed');
    await writeFile(join(path, 'new.txt'), 'from a file\n');
    expect((await keys(['add', 'third', '--new-password-file', join(path, 'new.txt')])).code).toBe(0);
    const typed = await keys(['add', 'fourth'], {}, { stdin: terminal('typed', 'typed') });
    expect([typed.code, typed.err, typed.out].join(' ')).not.toContain('typed ');
    expect(await Promise.all([PASSWORD, 'battery staple', 'from a file', 'typed'].map(opens))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    const differ = await keys(['add', 'fifth'], {}, { stdin: terminal('typed', 'mistyped') });
    expect([differ.code, differ.err]).toEqual([
      2,
      expect.stringContaining('not the same; nothing was changed'),
    ]);
    expect((await keys(['add', 'Fifth'], NEW)).code).toBe(2);
    expect(await keys(['add', 'fifth'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('HOLDFAST_REPOSITORY_NEW_PASSWORD') as string,
    });
    expect(await keys(['add', 'second'], { HOLDFAST_REPOSITORY_NEW_PASSWORD: 'other' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('"second" already') as string,
    });
  });

  test('change replaces the password that was given, and says what keeps the old one', async () => {
    const { keys, opens } = await founded('change');
    const { code, err } = await keys(['change'], NEW);
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(/Changed the password "password-1"[^]*Copies of the repository keep the old/),
    ]);
    expect([await opens(PASSWORD), await opens('battery staple')]).toEqual([false, true]);
    expect(await keys(['change'], { HOLDFAST_REPOSITORY_NEW_PASSWORD: 'third' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('The password does not open the repository') as string,
    });
    expect(await opens('battery staple')).toBe(true);
  });

  test('remove takes a way in, but never the last one', async () => {
    const { keys, opens, stores, unlock } = await founded('remove');
    const before = rememberRepository(await openRepository({ ...stores, unlock }));
    expect((await keys(['remove', 'vault'])).code).toBe(0);
    expect(await keys(['remove', 'vault'])).toMatchObject({
      code: 3,
      err: expect.stringContaining('no key slot "vault"') as string,
    });
    expect(await keys(['remove', 'password-1'])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/is the last one.*Add another one first/) as string,
    });
    expect(await opens(PASSWORD)).toBe(true);
    // A service that remembers the repository knows that it is newer, not another.
    expect((await openRepository({ ...stores, unlock, remembered: before })).counter).toBe(
      before.counter + 1,
    );
  });

  test('of an unencrypted repository says that it has none', async () => {
    const path = join(folder.path, 'none');
    const stores = {
      meta: new FolderBlobStore(join(path, 'meta')),
      data: new FolderBlobStore(join(path, 'data')),
    };
    await stores.data.create('made', Buffer.from('x'));
    await createRepository({ ...stores, unlock: { mode: 'none' }, now: new Date() });
    for (const argv of [['list'], ['change'], ['remove', 'x'], ['add', 'x']]) {
      expect(await offline(['keys', ...argv, '--repository', path], { env: NEW })).toMatchObject({
        code: 1,
        err: expect.stringMatching(/is not encrypted and has no/) as string,
      });
    }
  });
});

describe('repository keys and adopt', () => {
  const SLOT = { id: 'second', kind: 'password', key: null, opensHere: false };

  test('send names of secrets, never passwords, and print what is answered', async () => {
    const service = await scriptedService({
      'GET repository/keys': { body: { value: [SLOT] } },
      'POST repository/keys': { body: SLOT },
      'POST repository/keys/changePassword': { body: SLOT },
      'POST repository/keys/second/rewrap': { body: SLOT },
      'POST repository/keys/second/remove': { body: { value: [] } },
      'POST repository/adopt': [
        {
          body: {
            id: 'r',
            mode: 'encrypted',
            protection: 'Encrypted.',
            owner: { installation: 'old', since: '2026-01-01', seenAt: '2026-02-02' },
            needsTakeOver: true,
            replaces: null,
          },
        },
        { status: 202, body: { id: '01m800000000000000zz' } },
      ],
    });
    const run = (...argv: string[]) => runService(service.url, ['repository', ...argv]);
    try {
      expect((await run('keys', 'list', '-o', 'tsv')).out).toBe('second\tpassword\t\tfalse\n');
      expect((await run('-o', 'tsv', 'keys', 'list')).out).toBe('second\tpassword\t\tfalse\n');
      expect((await run('keys', 'add', 'second', '--password-secret', 's')).code).toBe(0);
      expect((await run('keys', 'add', 'second', '--key', 'k', '--open-with', 'o')).code).toBe(0);
      expect((await run('keys', 'change', '--old-secret', 'a/b')).code).toBe(0);
      expect((await run('keys', 'rewrap', 'second')).code).toBe(0);
      expect((await run('keys', 'remove', 'second')).err).toContain('No key slots.');
      const preview = await run('adopt', '--dry-run');
      expect(preview.out).toMatch(/OWNER +old\n[^]*OWNER SEEN +2026-02-02\n[^]*NEEDS TAKE-OVER +yes|true/);
      expect((await run('adopt', '--take-over', 'old', '--password-secret', 's')).out).toContain('01m8');
      expect(service.seen.slice(2).map(({ method, path, body }) => [method, path, body])).toEqual([
        ['POST', 'repository/keys', { id: 'second', passwordSecret: 's' }],
        ['POST', 'repository/keys', { id: 'second', keyVaultKey: 'k', openWithSecret: 'o' }],
        ['POST', 'repository/keys/changePassword', { oldSecret: 'a/b' }],
        ['POST', 'repository/keys/second/rewrap', {}],
        ['POST', 'repository/keys/second/remove', {}],
        ['POST', 'repository/adopt', { dryRun: true }],
        ['POST', 'repository/adopt', { takeOver: 'old', passwordSecret: 's' }],
      ]);
    } finally {
      await service.close();
    }
  });
});
