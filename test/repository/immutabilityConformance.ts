import { describe, expect, test } from 'vitest';
import type { LockableStore } from '../../lib/repository/index.ts';
import { collect } from '../datapath/lab.ts';

export interface LockableLab {
  readonly store: LockableStore;
  now(): Date;
  /** Moves the store's clock. */
  pass(ms: number): void;
}

const DAY = 86_400_000;
const text = (value: string) => Buffer.from(value);

/** What every `LockableStore` must do, beyond a `BlobStore`. `make` gives an empty container. */
export function describeLockableStore(label: string, make: () => Promise<LockableLab>): void {
  const until = (lab: LockableLab, days: number) =>
    new Date(Math.floor(lab.now().getTime() / 1000) * 1000 + days * DAY);

  describe(`lockable store: ${label}`, () => {
    test('an object that is created with a lock has it, in every way of asking', async () => {
      const lab = await make();
      const date = until(lab, 3);
      await lab.store.createLocked('a/x', text('1'), date);
      await lab.store.create('a/y', text('2'));
      expect(await lab.store.lockOf('a/x')).toEqual({ until: date, mode: 'locked' });
      expect(await lab.store.lockOf('a/y')).toBeNull();
      const listed = await collect(lab.store.listLocks('a/'));
      expect(listed.map(({ name, lock }) => [name, lock?.until ?? null])).toEqual([
        ['a/x', date],
        ['a/y', null],
      ]);
      await expect(lab.store.createLocked('a/y', text('3'), date)).rejects.toMatchObject({
        code: 'alreadyExists',
      });
      await expect(lab.store.lockOf('none')).rejects.toMatchObject({ code: 'missingObject' });
      await expect(lab.store.extend('none', date)).rejects.toMatchObject({ code: 'missingObject' });
    });

    test('a lock is extended and never shortened', async () => {
      const lab = await make();
      await lab.store.create('x', text('1'));
      const [two, three, five] = [until(lab, 2), until(lab, 3), until(lab, 5)];
      for (const [date, expected] of [
        [two, two],
        [five, five],
        [three, five],
        [five, five],
      ] as const) {
        await lab.store.extend('x', date);
        expect((await lab.store.lockOf('x'))?.until).toEqual(expected);
      }
    });

    test('what is locked is refused with its date, and goes when the date has passed', async () => {
      const lab = await make();
      const date = until(lab, 10);
      await lab.store.createLocked('x', text('1'), date);
      const [{ version } = { version: '' }] = await collect(lab.store.listVersions('x'));
      await expect(lab.store.removeVersion('x', version)).rejects.toMatchObject({
        code: 'conflict',
        target: 'x',
        message: expect.stringContaining(date.toISOString()),
      });
      // The refusal did not hide it.
      expect((await lab.store.read('x')).bytes.toString()).toBe('1');
      lab.pass(10 * DAY + 1000);
      await lab.store.removeVersion('x', version);
      await lab.store.removeVersion('x', version);
      expect(await collect(lab.store.listVersions('x'))).toEqual([]);
      expect(await lab.store.stat('x')).toBeNull();
    });

    test('overwriting and removing by name leave the locked version, readable by its id', async () => {
      const lab = await make();
      const date = until(lab, 4);
      await lab.store.createLocked('x', text('ours'), date);
      const { etag } = await lab.store.read('x');
      await lab.store.replace('x', text('theirs'), etag);
      await lab.store.remove('x');
      expect(await lab.store.stat('x')).toBeNull();
      await lab.store.create('x', text('again'));
      const versions = await collect(lab.store.listVersions('x'));
      expect(versions.map(({ current }) => current)).toEqual([false, false, true]);
      const contents = await Promise.all(versions.map(({ version }) => lab.store.readVersion('x', version)));
      expect(contents.map(({ bytes }) => bytes.toString())).toEqual(['ours', 'theirs', 'again']);
      expect(contents[0]?.etag).toBe(etag);
      expect(versions.map(({ lock }) => lock?.until ?? null)).toEqual([date, null, null]);
      const longer = until(lab, 6);
      await lab.store.extend('x', longer, versions[0]?.version ?? '');
      expect((await lab.store.lockOf('x', versions[0]?.version))?.until).toEqual(longer);
      expect(await lab.store.lockOf('x')).toBeNull();
      for (const { version } of versions.slice(1)) await lab.store.removeVersion('x', version);
      await expect(lab.store.removeVersion('x', versions[0]?.version ?? '')).rejects.toMatchObject({
        code: 'conflict',
      });
    });

    test('a list of versions has each name together, the oldest version first', async () => {
      const lab = await make();
      for (const name of ['b', 'a', 'a.1']) {
        let { etag } = await lab.store.create(name, text('0'));
        for (let n = 1; n < 4; n++) ({ etag } = await lab.store.replace(name, text(String(n)), etag));
      }
      const versions = await collect(lab.store.listVersions(''));
      expect(versions.map(({ name }) => name)).toEqual(
        ['a', 'a.1', 'b'].flatMap((name) => [name, name, name, name]),
      );
      const contents = await Promise.all(
        versions.map(({ name, version }) => lab.store.readVersion(name, version)),
      );
      expect(contents.map(({ bytes }) => bytes.toString()).join('')).toBe('012301230123');
    });
  });
}
