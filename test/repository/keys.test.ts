import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../lib/model/index.ts';
import { encodeDocument } from '../../lib/repository/document.ts';
import {
  addSlot,
  type BlobStore,
  changePassword,
  createChain,
  createRepository,
  encodeChainKeys,
  MemoryBlobStore,
  openChain,
  openFromChain,
  openRepository,
  protectionOf,
  recoverDescriptor,
  rememberRepository,
  removeSlot,
  rewrapSlot,
  type SlotChange,
  type Unlock,
} from '../../lib/repository/index.ts';
import { CrashingStore, CrashPlan, copyStore } from '../datapath/faultyStore.ts';
import { CHEAP, MACHINE } from '../datapath/lab.ts';
import { MemoryKeyWrapper } from './keysWrapper.ts';

const NOW = new Date('2026-11-21T10:00:00Z');
const OLD = { password: 'correct horse' };
const NEW = { password: 'battery staple' };
const data = new MemoryBlobStore('data');
const CHAINS = ['0123456789abcdef', '1123456789abcdef', '2123456789abcdef'] as const;

async function found(unlock: Unlock = OLD): Promise<MemoryBlobStore> {
  const meta = new MemoryBlobStore('meta');
  await createRepository({ meta, data, unlock, now: NOW, scrypt: CHEAP });
  return meta;
}
const open = (meta: BlobStore, unlock: Unlock) => openRepository({ meta, data, unlock });
const opens = (meta: BlobStore, unlock: Unlock) =>
  open(meta, unlock).then(
    () => true,
    (error: unknown) => {
      if (isHoldfastError(error) && !error.retryable) return false;
      throw error;
    },
  );
const slotsOf = async (meta: BlobStore, unlock: Unlock) =>
  (await open(meta, unlock)).slots.map(({ id, kind }) => `${id}:${kind}`);
const request = (meta: BlobStore, unlock: Unlock = OLD) => ({ meta, data, unlock, scrypt: CHEAP });
const chain = (n: 0 | 1 | 2, at: string) => ({
  id: CHAINS[n],
  machine: { id: MACHINE, armId: '/s/vm', name: 'vm1' },
  session: `01jd000000000000000${n}`,
  createdAt: at,
});

describe('key slots', () => {
  test('of either kind open the same master key, and come and go without touching data', async () => {
    const meta = await found();
    const vault = new MemoryKeyWrapper();
    const first = await open(meta, OLD);
    await createChain(first, chain(0, NOW.toISOString()));
    const before = (await meta.read(`chains/${CHAINS[0]}/chain`)).etag;
    const key = encodeChainKeys(first.keys.chain(CHAINS[0]));

    const material = { keyVault: vault, key: vault.key };
    const added = await addSlot({ ...request(meta), id: 'vault', material });
    expect(added).toMatchObject({ changed: true, slot: { id: 'vault', kind: 'keyVault' } });
    expect(await slotsOf(meta, OLD)).toEqual(['password-1:password', 'vault:keyVault']);
    const byVault = await open(meta, { keyVault: vault });
    expect(byVault.counter).toBe(2);
    expect(encodeChainKeys(byVault.keys.chain(CHAINS[0]))).toEqual(key);

    await removeSlot({ ...request(meta, { keyVault: vault }), id: 'password-1' });
    expect(await opens(meta, OLD)).toBe(false);
    expect(await slotsOf(meta, { keyVault: vault })).toEqual(['vault:keyVault']);
    expect((await meta.read(`chains/${CHAINS[0]}/chain`)).etag).toBe(before);
  });

  test('the last one stays', async () => {
    const meta = await found();
    await expect(removeSlot({ ...request(meta), id: 'password-1' })).rejects.toMatchObject({
      code: 'conflict',
      target: 'password-1',
    });
    expect(await slotsOf(meta, OLD)).toEqual(['password-1:password']);
  });

  test('a change may be called again: it changes nothing more, and the counter stays', async () => {
    const meta = await found();
    const vault = new MemoryKeyWrapper();
    const calls: (() => Promise<SlotChange>)[] = [
      () => addSlot({ ...request(meta), id: 'vault', material: { keyVault: vault, key: vault.key } }),
      () => addSlot({ ...request(meta), id: 'second', material: NEW }),
      () => changePassword({ ...request(meta), unlock: OLD, newPassword: 'third' }),
      () => removeSlot({ ...request(meta, NEW), id: 'vault' }),
    ];
    for (const call of calls) {
      const once = await call();
      expect(once.changed).toBe(true);
      const twice = await call();
      expect(twice.changed).toBe(false);
      expect(twice.repository.counter).toBe(once.repository.counter);
    }
    expect(await slotsOf(meta, NEW)).toEqual(['password-1:password', 'second:password']);
    await expect(
      addSlot({ ...request(meta, NEW), id: 'second', material: { password: 'other' } }),
    ).rejects.toMatchObject({ code: 'alreadyExists' });
  });

  test('a new password opens, the old one does not, the other slots do', async () => {
    const meta = await found();
    await addSlot({ ...request(meta), id: 'second', material: { password: 'third' } });
    const { repository } = await changePassword({ ...request(meta), unlock: OLD, newPassword: NEW.password });
    expect(repository.counter).toBe(3);
    expect(await opens(meta, OLD)).toBe(false);
    expect(await opens(meta, NEW)).toBe(true);
    expect(await opens(meta, { password: 'third' })).toBe(true);
    await expect(
      changePassword({ ...request(meta), unlock: OLD, newPassword: 'a fourth' }),
    ).rejects.toMatchObject({ code: 'wrongPassword' });
    await expect(changePassword({ ...request(meta), unlock: NEW, newPassword: '' })).rejects.toMatchObject({
      code: 'invalidInput',
    });
    expect(await opens(meta, NEW)).toBe(true);
  });

  test('sixteen are enough: a seventeenth is refused, also from a descriptor', async () => {
    const meta = await found();
    for (let n = 2; n <= 16; n++)
      await addSlot({ ...request(meta), id: `p-${n}`, material: { password: `p${n}` } });
    await expect(addSlot({ ...request(meta), id: 'p-17', material: NEW })).rejects.toMatchObject({
      code: 'invalidInput',
    });
    expect(await slotsOf(meta, { password: 'p16' })).toHaveLength(16);
  });
});

test('a slot of a kind that a later version made is kept, not tried, and may be removed', async () => {
  const meta = await found();
  const { keys } = await open(meta, OLD);
  const { bytes, etag } = await meta.read('repository');
  const descriptor = JSON.parse(bytes.toString().split('\n')[0] ?? '') as Line;
  const later = { id: 'later', kind: 'token', data: { any: ['thing', 1] } };
  descriptor.slots.unshift(later);
  await meta.replace('repository', encodeDocument(keys.document, 'repository', descriptor), etag);
  await addSlot({ ...request(meta), id: 'second', material: NEW });
  expect((await open(meta, NEW)).slots[0]).toEqual(later);
  await removeSlot({ ...request(meta), id: 'later' });
  expect(await slotsOf(meta, NEW)).toEqual(['password-1:password', 'second:password']);
});

describe('a Key Vault slot', () => {
  const withVault = async () => {
    const vault = new MemoryKeyWrapper();
    const meta = await found();
    await addSlot({ ...request(meta), id: 'vault', material: { keyVault: vault, key: vault.key } });
    return { vault, meta, by: { keyVault: vault } };
  };

  test('keeps the version that wrapped it; after a rotation it is wrapped again, and the old version is not needed', async () => {
    const { vault, meta, by } = await withVault();
    const before = (await open(meta, by)).slots[1];
    const oldKey = before?.kind === 'keyVault' ? before.key : '';
    const next = vault.rotate();
    expect(await opens(meta, by)).toBe(true);
    expect(await rewrapSlot({ ...request(meta, by), id: 'vault', keyVault: vault })).toMatchObject({
      changed: true,
      slot: { key: next },
    });
    expect(await rewrapSlot({ ...request(meta, by), id: 'vault', keyVault: vault })).toMatchObject({
      changed: false,
    });
    vault.set(oldKey, 'deleted');
    expect(await opens(meta, by)).toBe(true);
    await expect(
      rewrapSlot({ ...request(meta, by), id: 'password-1', keyVault: vault }),
    ).rejects.toMatchObject({ code: 'notFound' });
  });

  test.each([
    ['disabled', 'notConfigured'],
    ['deleted', 'notFound'],
  ] as const)(
    'whose key is %s says so by the name of the key, and a password still opens',
    async (state, code) => {
      const { vault, meta, by } = await withVault();
      const slot = (await open(meta, by)).slots[1];
      const key = slot?.kind === 'keyVault' ? slot.key : '';
      vault.set(key, state);
      await expect(open(meta, by)).rejects.toMatchObject({
        code,
        target: key,
        message: expect.stringMatching(/meta was not opened.*(Enable|Recover)/),
      });
      // The key is wrapped anew with a fresh version by who has the password.
      vault.rotate();
      await rewrapSlot({ ...request(meta), id: 'vault', keyVault: vault });
      expect(await opens(meta, by)).toBe(true);
    },
  );

  test('that another repository has does not open this one', async () => {
    const { vault, meta, by } = await withVault();
    const other = await withVault();
    const foreign = JSON.parse(
      (await other.meta.read('repository')).bytes.toString().split('\n')[0] ?? '',
    ) as Line;
    await rewrite(meta, (descriptor) => {
      descriptor.slots = foreign.slots;
    });
    await expect(open(meta, { keyVault: other.vault })).rejects.toMatchObject({ code: 'corruptObject' });
    await expect(open(meta, by)).rejects.toMatchObject({ code: 'notFound' });
    expect(vault.key).toBe(other.vault.key);
  });

  test('is not what a password opens, nor the reverse, and both say what is missing', async () => {
    const vault = new MemoryKeyWrapper();
    const meta = new MemoryBlobStore('meta');
    await createRepository({ meta, data, unlock: { keyVault: vault }, keyVaultKey: vault.key, now: NOW });
    await expect(open(meta, OLD)).rejects.toMatchObject({
      code: 'wrongPassword',
      message: expect.stringContaining('Key Vault key'),
    });
    await expect(open(await found(), { keyVault: vault })).rejects.toMatchObject({
      code: 'notConfigured',
      message: expect.stringContaining('password'),
    });
    await expect(
      createRepository({ meta: new MemoryBlobStore(), data, unlock: { keyVault: vault }, now: NOW }),
    ).rejects.toMatchObject({ code: 'invalidInput' });
  });
});

describe('a repository without encryption', () => {
  test('has no slots to change, and says what its checksums are good for', async () => {
    const meta = await found({ mode: 'none' });
    const words = /accidents, but no attackers/;
    for (const call of [
      () => addSlot({ ...request(meta, { mode: 'none' }), id: 'p', material: NEW }),
      () => removeSlot({ ...request(meta, { mode: 'none' }), id: 'p' }),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(words),
      });
    }
    expect(protectionOf((await open(meta, { mode: 'none' })).mode)).toMatch(/accidents, not attackers/);
    expect(protectionOf('encrypted')).not.toMatch(/accidents/);
  });
});

describe('an attacker with the meta container', () => {
  test('cannot take a slot out, put one back, or lower the counter', async () => {
    const meta = await found();
    const old = (await meta.read('repository')).bytes;
    await addSlot({ ...request(meta), id: 'second', material: NEW });
    const { repository } = await changePassword({ ...request(meta), unlock: OLD, newPassword: 'third' });
    const remembered = rememberRepository(repository);
    const now = (await meta.read('repository')).bytes;
    const put = async (bytes: Buffer) =>
      meta.replace('repository', bytes, (await meta.read('repository')).etag);

    await rewrite(meta, (descriptor) => {
      descriptor.slots = descriptor.slots.filter(({ id }) => id !== 'password-1');
    });
    await expect(open(meta, NEW)).rejects.toMatchObject({ code: 'corruptObject', target: 'repository' });
    // The old descriptor as a whole is authentic: only what is remembered refuses it.
    await put(old);
    expect(await opens(meta, OLD)).toBe(true);
    await expect(openRepository({ meta, data, unlock: OLD, remembered })).rejects.toMatchObject({
      code: 'repositoryMismatch',
      message: expect.stringContaining('rolled back'),
    });
    await expect(addSlot({ ...request(meta), remembered, id: 'x', material: NEW })).rejects.toMatchObject({
      code: 'repositoryMismatch',
    });
    // Nor does a change write on top of a descriptor that was altered.
    await put(now);
    await rewrite(meta, (descriptor) => {
      descriptor.counter += 1;
    });
    await expect(addSlot({ ...request(meta, NEW), id: 'x', material: OLD })).rejects.toMatchObject({
      code: 'corruptObject',
    });
  });

  test('who swaps in a repository of his own is refused by what is remembered, with a password and with a vault', async () => {
    const vault = new MemoryKeyWrapper();
    const meta = await found();
    const own = await addSlot({
      ...request(meta),
      id: 'vault',
      material: { keyVault: vault, key: vault.key },
    });
    const remembered = rememberRepository(own.repository);
    // He knows the id, which is no secret, and the public half of the vault's key, so he can wrap a master key of his own.
    const forged = new MemoryBlobStore('meta');
    await createRepository({
      meta: forged,
      data,
      unlock: { keyVault: vault },
      keyVaultKey: vault.key,
      now: NOW,
    });
    for (const by of [{ keyVault: vault }, OLD]) {
      await expect(openRepository({ meta: forged, data, unlock: by, remembered })).rejects.toMatchObject({
        code: 'repositoryMismatch',
      });
    }
  });
});

describe('when the descriptor is lost', () => {
  const written = async () => {
    const meta = await found();
    await createChain(await open(meta, OLD), chain(0, '2026-01-01T00:00:00.000Z'));
    await changePassword({ ...request(meta), unlock: OLD, newPassword: NEW.password });
    const { repository } = await addSlot({
      ...request(meta, NEW),
      id: 'second',
      material: { password: 'third' },
    });
    await createChain(repository, chain(1, '2026-02-01T00:00:00.000Z'));
    await meta.remove('repository');
    return { meta, remembered: rememberRepository(repository) };
  };

  test('each chain opens with the slots of its time: newer chains carry the new ones', async () => {
    const { meta } = await written();
    const byNew = await openFromChain({ meta, data, unlock: NEW });
    expect(byNew.chain).toBe(CHAINS[1]);
    expect(byNew.repository.slots.map(({ id }) => id)).toEqual(['password-1', 'second']);
    // The password of the time when the first chain began opens that chain's copy, and with it all chains.
    const byOld = await openFromChain({ meta, data, unlock: OLD });
    expect(byOld.chain).toBe(CHAINS[0]);
    expect((await openChain(byOld.repository, CHAINS[1])).id).toBe(CHAINS[1]);
    await expect(openFromChain({ meta, data, unlock: { password: 'none' } })).rejects.toMatchObject({
      code: 'wrongPassword',
    });
    // It was for reading: nothing was written.
    expect(await meta.stat('repository')).toBeNull();
  });

  test('it is made again above what is remembered, and a damaged one only when told so', async () => {
    const { meta, remembered } = await written();
    const recovered = await recoverDescriptor({ meta, data, unlock: NEW, remembered, now: NOW });
    expect(recovered.counter).toBe(remembered.counter + 1);
    expect(await opens(meta, { password: 'third' })).toBe(true);
    const { bytes, etag } = await meta.read('repository');
    bytes[10] = (bytes[10] ?? 0) ^ 1;
    await meta.replace('repository', bytes, etag);
    const again = { meta, data, unlock: NEW, remembered: rememberRepository(recovered), now: NOW };
    await expect(recoverDescriptor(again)).rejects.toMatchObject({ code: 'corruptObject' });
    expect((await recoverDescriptor({ ...again, replaceDamaged: true })).counter).toBe(recovered.counter + 1);
  });

  test('a chain that is damaged or of another repository does not stand in the way', async () => {
    const { meta, remembered } = await written();
    const other = await found();
    await createChain(await open(other, OLD), chain(2, '2026-03-01T00:00:00.000Z'));
    const name = `chains/${CHAINS[2]}/chain`;
    await meta.create(name, (await other.read(name)).bytes);
    const { bytes, etag } = await meta.read(`chains/${CHAINS[0]}/chain`);
    await meta.replace(`chains/${CHAINS[0]}/chain`, bytes.subarray(0, 50), etag);
    expect((await openFromChain({ meta, data, unlock: NEW, remembered })).chain).toBe(CHAINS[1]);
  });
});

describe('changes of slots at once, and crashes', () => {
  test('of many that change slots at once, all take effect, one after another', async () => {
    const meta = await found();
    const vault = new MemoryKeyWrapper();
    await addSlot({ ...request(meta), id: 'going', material: { password: 'going' } });
    const done = await Promise.all([
      addSlot({ ...request(meta), id: 'a', material: { password: 'a' } }),
      addSlot({ ...request(meta), id: 'b', material: { keyVault: vault, key: vault.key } }),
      removeSlot({ ...request(meta), id: 'going' }),
      addSlot({ ...request(meta), id: 'c', material: NEW }),
    ]);
    expect(done.map(({ repository }) => repository.counter).sort((a, b) => a - b)).toEqual([3, 4, 5, 6]);
    expect((await slotsOf(meta, NEW)).sort((a, b) => a.localeCompare(b))).toEqual([
      'a:password',
      'b:keyVault',
      'c:password',
      'password-1:password',
    ]);
    expect((await open(meta, OLD)).counter).toBe(6);
  });

  test('of two that change one password at once, the second learns that it was changed', async () => {
    const meta = await found();
    const outcomes = await Promise.allSettled([
      changePassword({ ...request(meta), unlock: OLD, newPassword: 'one' }),
      changePassword({ ...request(meta), unlock: OLD, newPassword: 'two' }),
    ]);
    const won = outcomes.findIndex(({ status }) => status === 'fulfilled');
    expect(outcomes[1 - won]).toMatchObject({ status: 'rejected', reason: { code: 'wrongPassword' } });
    expect(await opens(meta, { password: won === 0 ? 'one' : 'two' })).toBe(true);
    expect(await opens(meta, { password: won === 0 ? 'two' : 'one' })).toBe(false);
  });

  test('of two that remove the last two slots, one is refused', async () => {
    const meta = await found();
    await addSlot({ ...request(meta), id: 'second', material: NEW });
    const outcomes = await Promise.allSettled([
      removeSlot({ ...request(meta, OLD), id: 'password-1' }),
      removeSlot({ ...request(meta, OLD), id: 'second' }),
      removeSlot({ ...request(meta, NEW), id: 'password-1' }),
    ]);
    expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true);
    const left = [await opens(meta, OLD), await opens(meta, NEW)];
    expect(left.filter(Boolean)).toHaveLength(1);
  });

  const vault = new MemoryKeyWrapper();
  const changes: Record<string, (meta: BlobStore) => Promise<SlotChange>> = {
    add: (meta) => addSlot({ ...request(meta), id: 'third', material: { password: 'third' } }),
    'add of a vault': (meta) =>
      addSlot({ ...request(meta), id: 'third', material: { keyVault: vault, key: vault.key } }),
    remove: (meta) => removeSlot({ ...request(meta), id: 'second' }),
    'change of the password': (meta) =>
      changePassword({ ...request(meta), unlock: OLD, newPassword: NEW.password }),
    rewrap: (meta) => rewrapSlot({ ...request(meta), id: 'vault', keyVault: vault }),
  };

  test.each(Object.keys(changes))(
    'a crash at any storage call of the %s leaves the old slots or the new ones',
    async (name) => {
      const base = await found();
      await addSlot({ ...request(base), id: 'second', material: { password: 'second' } });
      await addSlot({ ...request(base), id: 'vault', material: { keyVault: vault, key: vault.key } });
      vault.rotate();
      const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
      let fired = 0;
      let ended = false;
      for (const when of ['before', 'after'] as const) {
        ended = false;
        for (let at = 1; !ended; at++) {
          const meta = await copyStore(base);
          const before = digest((await meta.read('repository')).bytes);
          const plan = new CrashPlan(at, when);
          const change = changes[name] as (meta: BlobStore) => Promise<SlotChange>;
          const crashed = await change(new CrashingStore(meta, plan)).then(
            () => false,
            () => true,
          );
          expect(crashed).toBe(plan.fired);
          if (plan.fired) fired++;
          else ended = true;
          // Either descriptor is whole and opens; the change, called again, brings the new one.
          const after = digest((await meta.read('repository')).bytes);
          const repeated = await change(meta);
          expect(repeated.changed).toBe(after === before);
          expect(repeated.repository.counter).toBe(4);
          expect(await opens(meta, { password: 'second' })).toBe(name !== 'remove');
          expect(await opens(meta, { keyVault: vault })).toBe(true);
        }
      }
      expect(fired).toBeGreaterThanOrEqual(4);
    },
  );
});

interface Line {
  counter: number;
  slots: { id: string }[];
}

/** Alters the descriptor as somebody without the master key can: with a fitting checksum, and the old authentication. */
async function rewrite(meta: BlobStore, alter: (descriptor: Line) => void): Promise<void> {
  const { bytes, etag } = await meta.read('repository');
  const [line = '', , mac] = bytes.toString('utf8').split('\n');
  const descriptor = JSON.parse(line) as Line;
  alter(descriptor);
  const next = JSON.stringify(descriptor);
  const sum = createHash('sha256').update(next).digest('hex');
  await meta.replace('repository', Buffer.from(`${next}\n${sum}\n${mac}\n`), etag);
}
