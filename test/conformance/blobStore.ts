import { describe, expect, test } from 'vitest';
import type { BlobInfo, BlobStore } from '../../lib/repository/index.ts';

/** What every `BlobStore` must do. `make` gives an empty container; it may be called for each test. */
export function describeBlobStore(label: string, make: () => Promise<BlobStore>): void {
  const bytes = (text: string) => Buffer.from(text, 'utf8');
  const all = async (list: AsyncIterable<BlobInfo>) => {
    const found: BlobInfo[] = [];
    for await (const info of list) found.push(info);
    return found;
  };

  describe(`blob store: ${label}`, () => {
    test('an object reads as it was created, whole and in ranges', async () => {
      const store = await make();
      const body = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 31) & 0xff));
      const created = await store.create('a/b/object.pack', body);
      const whole = await store.read('a/b/object.pack');
      expect(whole.bytes.equals(body)).toBe(true);
      expect(whole).toMatchObject({ name: 'a/b/object.pack', size: 5000, etag: created.etag });
      const part = await store.read('a/b/object.pack', { offset: 100, length: 50 });
      expect(part.bytes.equals(body.subarray(100, 150))).toBe(true);
      expect(part.size).toBe(5000);
    });

    test('a range that ends past the object is cut there', async () => {
      const store = await make();
      await store.create('x', bytes('0123456789'));
      expect((await store.read('x', { offset: 7, length: 100 })).bytes.toString()).toBe('789');
      expect((await store.read('x', { offset: 0, length: 1 })).bytes.toString()).toBe('0');
    });

    test('an empty object can be stored and read', async () => {
      const store = await make();
      await store.create('empty', Buffer.alloc(0));
      expect((await store.read('empty')).bytes).toHaveLength(0);
      expect(await store.stat('empty')).toMatchObject({ name: 'empty', size: 0 });
    });

    test('create refuses a name that is taken, and leaves the object as it was', async () => {
      const store = await make();
      await store.create('x', bytes('first'));
      await expect(store.create('x', bytes('second'))).rejects.toMatchObject({
        code: 'alreadyExists',
        target: 'x',
      });
      expect((await store.read('x')).bytes.toString()).toBe('first');
    });

    test('of many that create one name, one succeeds', async () => {
      const store = await make();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => store.create('claim', bytes(`writer ${i}`))),
      );
      const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
      expect(winners).toHaveLength(1);
      expect((await store.read('claim')).bytes.toString()).toBe(`writer ${winners[0]}`);
      const losers = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(losers.map(({ reason }) => (reason as { code?: string }).code)).toEqual(
        losers.map(() => 'alreadyExists'),
      );
    });

    test('replace needs the etag of what is there', async () => {
      const store = await make();
      const first = await store.create('x', bytes('1'));
      const second = await store.replace('x', bytes('22'), first.etag);
      expect(second.etag).not.toBe(first.etag);
      expect((await store.read('x')).etag).toBe(second.etag);
      await expect(store.replace('x', bytes('3'), first.etag)).rejects.toMatchObject({
        code: 'preconditionFailed',
        target: 'x',
      });
      expect((await store.read('x')).bytes.toString()).toBe('22');
    });

    test('replace never creates', async () => {
      const store = await make();
      const { etag } = await store.create('x', bytes('1'));
      await store.remove('x');
      await expect(store.replace('x', bytes('2'), etag)).rejects.toMatchObject({ target: 'x' });
      expect(await store.stat('x')).toBeNull();
    });

    test('of many that replace one version, one succeeds', async () => {
      const store = await make();
      const { etag } = await store.create('x', bytes('0'));
      const outcomes = await Promise.allSettled(
        Array.from({ length: 6 }, (_, i) => store.replace('x', bytes(`writer ${i}`), etag)),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    test('the same bytes written again give another etag', async () => {
      const store = await make();
      const { etag } = await store.create('x', bytes('same'));
      expect((await store.replace('x', bytes('same'), etag)).etag).not.toBe(etag);
    });

    test('what is missing is missing', async () => {
      const store = await make();
      await expect(store.read('no/such')).rejects.toMatchObject({ code: 'missingObject', target: 'no/such' });
      await expect(store.read('no/such', { offset: 0, length: 4 })).rejects.toMatchObject({
        code: 'missingObject',
      });
      expect(await store.stat('no/such')).toBeNull();
      await store.remove('no/such');
      expect(await all(store.list('no/'))).toEqual([]);
    });

    test('a list has exactly the names of its prefix, in the order of names', async () => {
      const store = await make();
      const names = [
        'chains/a/maps/1.map',
        'chains/a/packs/2.pack',
        'chains/a/packs/1.pack',
        'chains/a-b/chain',
        'chains/a/chain',
        'owner',
      ];
      for (const name of names) await store.create(name, bytes(name));
      const listed = await all(store.list(''));
      expect(listed.map(({ name }) => name)).toEqual([...names].sort());
      for (const { name, size, etag } of listed) expect(await store.stat(name)).toMatchObject({ size, etag });
      expect((await all(store.list('chains/a/packs/'))).map(({ name }) => name)).toEqual([
        'chains/a/packs/1.pack',
        'chains/a/packs/2.pack',
      ]);
      expect((await all(store.list('chains/a/packs/2'))).map(({ name }) => name)).toEqual([
        'chains/a/packs/2.pack',
      ]);
      expect((await all(store.list('chains/a'))).map(({ name }) => name)).toHaveLength(5);
    });

    test('remove respects the etag it is given', async () => {
      const store = await make();
      const first = await store.create('x', bytes('1'));
      const second = await store.replace('x', bytes('2'), first.etag);
      await expect(store.remove('x', first.etag)).rejects.toMatchObject({
        code: 'preconditionFailed',
        target: 'x',
      });
      expect(await store.stat('x')).not.toBeNull();
      await store.remove('x', second.etag);
      expect(await store.stat('x')).toBeNull();
    });

    test("times are the store's, and do not run backwards", async () => {
      const store = await make();
      const first = await store.create('x', bytes('1'));
      const second = await store.create('y', bytes('2'));
      expect(second.lastModified.getTime()).toBeGreaterThanOrEqual(first.lastModified.getTime());
      expect((await store.read('x')).lastModified).toEqual(first.lastModified);
    });

    test('an aborted call fails, and a create that was never sent leaves nothing', async () => {
      const store = await make();
      const signal = AbortSignal.abort(new Error('stop'));
      await expect(store.create('x', bytes('1'), { signal })).rejects.toBeInstanceOf(Error);
      expect(await store.stat('x')).toBeNull();
      await store.create('x', bytes('1'));
      await expect(store.read('x', undefined, { signal })).rejects.toBeInstanceOf(Error);
    });

    test('a caller may use its buffers again once a call is answered', async () => {
      const store = await make();
      const body = bytes('before');
      await store.create('x', body);
      body.fill(0);
      const read = await store.read('x');
      read.bytes.fill(0);
      expect((await store.read('x')).bytes.toString()).toBe('before');
    });
  });
}
