import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntityRange, EntityTable, StoredEntity } from '../../lib/catalog/entityTable.ts';
import { isHoldfastError } from '../../lib/model/index.ts';

export interface TableUnderTest {
  /** A table that holds nothing, of another name each time. It need not exist yet. */
  fresh(): EntityTable;
  close?(): Promise<void>;
}

/** Of the form that the service gives: any other is a bad request. */
const NO_SUCH_ETAG = 'W/"datetime\'2020-01-01T00%3A00%3A00.0000000Z\'"';

const all = async (table: EntityTable, range: EntityRange): Promise<StoredEntity[]> => {
  const found: StoredEntity[] = [];
  for await (const entity of table.query(range)) found.push(entity);
  return found;
};

const code = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return 'no error';
  } catch (error) {
    return isHoldfastError(error) ? error.code : String(error);
  }
};

/** What every `EntityTable` does, whatever is behind it. */
export function describeEntityTable(name: string, make: () => Promise<TableUnderTest>): void {
  describe(`EntityTable: ${name}`, () => {
    let under: TableUnderTest;
    beforeAll(async () => {
      under = await make();
    });
    afterAll(async () => {
      await under?.close?.();
    });

    it('a table that was never written to is empty, not an error', async () => {
      const table = under.fresh();
      expect(await table.get('p', 'r')).toBeNull();
      expect(await all(table, { partition: 'p' })).toEqual([]);
      await table.remove('p', 'r', NO_SUCH_ETAG);
    });

    it('what is inserted comes back, document and bytes', async () => {
      const table = under.fresh();
      const document = {
        text: 'Grüße, 日本 👋',
        n: 1.5,
        list: [true, null, { deep: {} }],
        when: '2026-11-21T00:00:00Z',
      };
      const etag = await table.insert({
        partition: 'p',
        row: 'r',
        document,
        bytes: Buffer.from([0, 1, 255]),
      });
      const found = await table.get('p', 'r');
      expect(found).toMatchObject({ partition: 'p', row: 'r', document, etag });
      expect([...(found?.bytes ?? [])]).toEqual([0, 1, 255]);
    });

    it('a name is taken once', async () => {
      const table = under.fresh();
      await table.insert({ partition: 'p', row: 'r', document: 1 });
      expect(await code(table.insert({ partition: 'p', row: 'r', document: 2 }))).toBe('alreadyExists');
      expect((await table.get('p', 'r'))?.document).toBe(1);
      await table.insert({ partition: 'q', row: 'r', document: 3 });
    });

    it('an update needs the etag of what it replaces', async () => {
      const table = under.fresh();
      const first = await table.insert({ partition: 'p', row: 'r', document: { n: 1, gone: true } });
      const second = await table.update({ partition: 'p', row: 'r', document: { n: 2 } }, first);
      expect(second).not.toBe(first);
      expect(await code(table.update({ partition: 'p', row: 'r', document: { n: 3 } }, first))).toBe(
        'preconditionFailed',
      );
      expect((await table.get('p', 'r'))?.document).toEqual({ n: 2 });
      expect(await code(table.update({ partition: 'p', row: 'none', document: 0 }, second))).toBe(
        'preconditionFailed',
      );
    });

    it('a shorter document leaves nothing of a longer one, and no bytes', async () => {
      const table = under.fresh();
      const etag = await table.insert({
        partition: 'p',
        row: 'r',
        document: 'x'.repeat(100_000),
        bytes: Buffer.alloc(200_000, 7),
      });
      await table.update({ partition: 'p', row: 'r', document: 'y' }, etag);
      const found = await table.get('p', 'r');
      expect(found?.document).toBe('y');
      expect(found?.bytes).toBeUndefined();
    });

    it('of many writers on one etag exactly one wins', async () => {
      const table = under.fresh();
      const etag = await table.insert({ partition: 'p', row: 'r', document: 0 });
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, n) =>
          code(table.update({ partition: 'p', row: 'r', document: n + 1 }, etag)),
        ),
      );
      expect(outcomes.filter((one) => one === 'no error')).toHaveLength(1);
      expect(outcomes.filter((one) => one === 'preconditionFailed')).toHaveLength(7);
      expect((await table.get('p', 'r'))?.document).toBe(outcomes.indexOf('no error') + 1);
    });

    it('a removal needs the etag, and a missing entity is no error', async () => {
      const table = under.fresh();
      const first = await table.insert({ partition: 'p', row: 'r', document: 1 });
      const second = await table.update({ partition: 'p', row: 'r', document: 2 }, first);
      expect(await code(table.remove('p', 'r', first))).toBe('preconditionFailed');
      await table.remove('p', 'r', second);
      await table.remove('p', 'r', second);
      expect(await table.get('p', 'r')).toBeNull();
    });

    it('a query gives the rows of a range in order, across pages', async () => {
      const table = under.fresh();
      const rows = Array.from({ length: 1_100 }, (_, n) => `row${String(n).padStart(5, '0')}`);
      for (let at = 0; at < rows.length; at += 100) {
        const actions = rows
          .slice(at, at + 100)
          .reverse()
          .map((row) => ({ kind: 'insert' as const, entity: { row, document: row } }));
        await table.batch('many', actions);
      }
      await table.insert({ partition: 'other', row: 'row00001', document: 'other' });
      const found = await all(table, { partition: 'many' });
      expect(found.map(({ document }) => document)).toEqual(rows);
      const some = await all(table, { partition: 'many', from: 'row00010', before: 'row00013' });
      expect(some.map(({ row }) => row)).toEqual(['row00010', 'row00011', 'row00012']);
      expect(await all(table, {})).toHaveLength(rows.length + 1);
    });

    it('a query that is left early ends', async () => {
      const table = under.fresh();
      for (const row of ['a', 'b', 'c']) await table.insert({ partition: 'p', row, document: row });
      for await (const { row } of table.query({ partition: 'p' })) {
        expect(row).toBe('a');
        break;
      }
    });

    it('a batch is all or nothing', async () => {
      const table = under.fresh();
      const etag = await table.insert({ partition: 'p', row: 'kept', document: 1 });
      await table.insert({ partition: 'p', row: 'taken', document: 1 });
      const insertNew = { kind: 'insert', entity: { row: 'new', document: 1 } } as const;
      const insertTaken = { kind: 'insert', entity: { row: 'taken', document: 2 } } as const;
      const stale = {
        kind: 'update',
        entity: { row: 'kept', document: 2 },
        etag: NO_SUCH_ETAG,
      } as const;
      expect(await code(table.batch('p', [insertNew, insertTaken]))).toBe('alreadyExists');
      expect(await code(table.batch('p', [insertNew, stale]))).toBe('preconditionFailed');
      expect(await code(table.batch('p', [insertNew, { kind: 'remove', row: 'none' }]))).toBe(
        'preconditionFailed',
      );
      expect((await all(table, { partition: 'p' })).map(({ row, document }) => [row, document])).toEqual([
        ['kept', 1],
        ['taken', 1],
      ]);
      await table.batch('p', [
        insertNew,
        { kind: 'update', entity: { row: 'kept', document: 3 }, etag },
        { kind: 'remove', row: 'taken' },
      ]);
      expect((await all(table, { partition: 'p' })).map(({ row, document }) => [row, document])).toEqual([
        ['kept', 3],
        ['new', 1],
      ]);
      const tooMany = Array.from({ length: 101 }, (_, n) => ({ kind: 'remove' as const, row: `r${n}` }));
      expect(await code(table.batch('p', tooMany))).toBe('invalidInput');
    });

    it('an entity of 1 MiB is refused, and one just under it is kept', async () => {
      const table = under.fresh();
      const bytes = Buffer.alloc(1_040_000, 3);
      await table.insert({ partition: 'p', row: 'fits', document: 'x', bytes });
      expect((await table.get('p', 'fits'))?.bytes?.length).toBe(bytes.length);
      const over = { partition: 'p', row: 'over', document: 'x'.repeat(524_288) };
      expect(await code(table.insert(over))).toBe('invalidInput');
      expect(await table.get('p', 'over')).toBeNull();
    });

    it('a key that a table would refuse is refused before the call', async () => {
      const table = under.fresh();
      const refused: string[] = [];
      const keys = ['a/b', 'a#b', 'a?b', 'a\\b', '', 'a b', 'ä', 'x'.repeat(481)];
      for (const row of keys) {
        if ((await code(table.insert({ partition: 'p', row, document: 1 }))) === 'invalidInput')
          refused.push(row);
      }
      expect(refused).toEqual(keys);
    });

    it('any document that fits survives its chunks', async () => {
      const table = under.fresh();
      let row = 0;
      const unit = fc.constantFrom('x', 'ß', '👋', '"', '\\', '\n', '\u2028');
      await fc.assert(
        fc.asyncProperty(unit, fc.nat(30_000), fc.nat(140_000), async (char, chars, size) => {
          const document = { text: char.repeat(chars) };
          const bytes = Buffer.alloc(size, row % 251);
          const name = { partition: 'p', row: `r${row++}` };
          await table.insert({ ...name, document, bytes });
          const found = await table.get(name.partition, name.row);
          expect(found?.document).toEqual(document);
          expect(Buffer.compare(Buffer.from(found?.bytes ?? []), bytes)).toBe(0);
        }),
        { numRuns: 20 },
      );
    });
  });
}
