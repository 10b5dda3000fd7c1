import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type Column, formatList, formatOne } from '../../cli/output.ts';
import { MACHINE } from './samples.ts';
import { run, scriptedService } from './service.ts';

/** RFC 4180 by the letter, a character at a time. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[i + 1] === '"') {
        cell += '"';
        i++;
      } else quoted = false;
    } else if (char === '"' && cell === '') quoted = true;
    else if (char === ',') {
      row.push(cell);
      cell = '';
    } else if (char === '\r' && text[i + 1] === '\n') {
      i++;
      rows.push([...row, cell]);
      row = [];
      cell = '';
    } else cell += char;
  }
  if (row.length > 0 || cell !== '' || quoted) throw new Error(`the last line does not end: ${text}`);
  return rows;
}

type Row = readonly (string | number | boolean | null)[];
const COLUMNS: readonly Column<Row>[] = ['NAME', 'A, B', 'C "D"'].map((name, i) => ({
  name,
  value: (row) => row[i] ?? null,
  show: () => 'for people',
}));

describe('lists as CSV', () => {
  test('whatever is in the cells, a reader by the standard gets it back', () => {
    const value = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', ',', '"', '\r', '\n', ' ', '=', '-', 'ü', '1') }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value, value)), (rows) => {
        const parsed = parseCsv(formatList('csv', COLUMNS, rows, true));
        const wanted = rows.map((row) =>
          row.map((cell) => {
            const text = cell === null ? '' : String(cell);
            // A spreadsheet is not to run what a name says.
            return typeof cell === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
          }),
        );
        expect(parsed).toEqual([['NAME', 'A, B', 'C "D"'], ...wanted]);
      }),
    );
  });

  test('quotes are doubled, and only what needs it is quoted', () => {
    expect(
      formatList(
        'csv',
        COLUMNS,
        [
          ['x', 'say "hi"', 2],
          [null, 'a,b\nc', -1.5],
        ],
        false,
      ),
    ).toBe('NAME,"A, B","C ""D"""\r\nx,"say ""hi""",2\r\n,"a,b\nc",-1.5\r\n');
    expect(formatList('csv', COLUMNS, [], false)).toBe('NAME,"A, B","C ""D"""\r\n');
    expect(formatOne('csv', COLUMNS, ['=1+1', true, ' '], false)).toBe(
      'NAME,"A, B","C ""D"""\r\n\'=1+1,true," "\r\n',
    );
  });
});

describe('-o csv', () => {
  let service: Awaited<ReturnType<typeof scriptedService>>;
  afterEach(() => service.close());

  test('of a list of the service: a heading, and the values that programs get', async () => {
    const machine = { ...MACHINE, name: 'web, "one"' };
    service = await scriptedService({
      'GET machines': { body: { value: [machine] } },
    });
    const machines = parseCsv((await run(service.url, ['-o', 'csv', 'machine', 'list'])).out);
    expect([machines[0]?.[0], machines[1]?.[0]]).toEqual(['NAME', 'web, "one"']);
    const index = machines[0]?.indexOf('LAST RESTORE POINT') ?? -1;
    expect(machines[1]?.[index]).toBe(MACHINE.lastRestorePointAt);
    expect(machines.map((row) => row.length)).toEqual([machines[0]?.length, machines[0]?.length]);
  });
});
