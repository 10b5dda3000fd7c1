import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const HEADING = ['row', 'feature', 'state', 'where', 'test'];
const LAST = 133;
/** Those that are to work, or to say why they are left out. */
const PROMISED = [...range(1, 43), ...range(85, 103), ...range(121, 125)];

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

interface Row {
  readonly row: number;
  readonly feature: string;
  readonly state: string;
  /** What stands behind the word of the state. */
  readonly because: string;
  readonly where: readonly string[];
  readonly test: readonly string[];
}

const filesIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file);

function parse(line: string): Row {
  const cells = line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
  expect(cells, line).toHaveLength(HEADING.length);
  const [row = '', feature = '', said = '', where = '', test = ''] = cells;
  const [state = '', ...because] = said.split(': ');
  return {
    row: Number(row),
    feature,
    state,
    because: because.join(': '),
    where: filesIn(where),
    test: filesIn(test),
  };
}

describe('docs/features.md', () => {
  const lines = readFileSync(join(ROOT, 'docs', 'features.md'), 'utf8').split('\n');
  const table = lines.filter((line) => line.startsWith('|'));
  const rows = table.slice(2).map(parse);

  it('has a line for each row, in order', () => {
    expect(
      table[0]
        ?.split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    ).toEqual(HEADING);
    expect(rows.map(({ row }) => row)).toEqual(range(1, LAST));
    for (const { row, feature } of rows) expect(feature, `row ${row}`).not.toBe('');
  });

  it('knows four states; what is not whole says what is missing, or why it is not there', () => {
    const states = new Set(rows.map(({ state }) => state));
    expect([...states].filter((state) => !['works', 'partly', 'later', 'left out'].includes(state))).toEqual(
      [],
    );
    const wrong = rows.filter(({ state, because }) =>
      state === 'works' ? because !== '' : state !== 'later' && because === '',
    );
    expect(wrong).toEqual([]);
  });

  it('names files that exist; what works names where it is, and a test', () => {
    const missing = rows.flatMap(({ row, where, test }) =>
      [...where, ...test]
        .filter((file) => !existsSync(join(ROOT, file)))
        .map((file) => `row ${row}: ${file}`),
    );
    expect(missing).toEqual([]);
    const unproven = rows.filter(
      ({ state, where, test }) =>
        state === 'works' && (where.length === 0 || !test.some((file) => /^test\/.*\.test\.ts$/.test(file))),
    );
    expect(unproven).toEqual([]);
  });

  it('what policies, chains, retention and sessions promise works, or is left out and says why', () => {
    const open = rows.filter(
      ({ row, state }) => PROMISED.includes(row) && state !== 'works' && state !== 'left out',
    );
    expect(open.map(({ row, feature }) => `${row} ${feature}`)).toEqual([]);
  });
});
