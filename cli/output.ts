import { csvLine } from '../lib/model/index.ts';

/** How data is written to stdout: a table for people, csv for spreadsheets; json, jsonl and tsv for programs. */
export const FORMATS = ['table', 'json', 'jsonl', 'tsv', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

/** A column of a table. `value` is what programs get; `show` is what people see, where that differs. */
export interface Column<T> {
  readonly name: string;
  value(row: T): string | number | boolean | null;
  show?(row: T): string;
}

const CSI = `${String.fromCharCode(27)}[`;
const STYLES: Readonly<Record<string, string>> = {
  succeeded: '32',
  running: '36',
  warning: '33',
  skipped: '33',
  cancelled: '33',
  failed: '31',
};

/** A list in the wanted format, with its line end; an empty one is an empty text in `jsonl` and `tsv`, a heading in `csv`. */
export function formatList<T>(
  format: Format,
  columns: readonly Column<T>[],
  rows: readonly T[],
  color: boolean,
): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(rows, null, 2)}\n`;
    case 'jsonl':
      return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    case 'tsv':
      return rows
        .map((row) => `${columns.map((column) => oneLine(String(column.value(row) ?? ''))).join('\t')}\n`)
        .join('');
    case 'csv':
      return [
        csvLine(columns.map(({ name }) => name)),
        ...rows.map((row) => csvLine(columns.map((column) => column.value(row)))),
      ].join('');
    case 'table':
      return table(columns, rows, color);
  }
}

/** One object: `table` shows a line for each column. */
export function formatOne<T>(format: Format, columns: readonly Column<T>[], row: T, color: boolean): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(row, null, 2)}\n`;
    case 'table': {
      const width = Math.max(...columns.map((column) => column.name.length));
      return columns
        .map((column) => `${column.name.padEnd(width)}  ${paint(shown(column, row), color)}\n`)
        .join('');
    }
    case 'jsonl':
    case 'tsv':
    case 'csv':
      return formatList(format, columns, [row], color);
  }
}

function table<T>(columns: readonly Column<T>[], rows: readonly T[], color: boolean): string {
  const texts = rows.map((row) => columns.map((column) => shown(column, row)));
  const right = columns.map((column) => rows.length > 0 && typeof column.value(rows[0] as T) === 'number');
  const widths = columns.map((column, i) =>
    Math.max(column.name.length, ...texts.map((line) => line[i]?.length ?? 0)),
  );
  const line = (cells: readonly string[], paint: (text: string) => string): string =>
    cells
      .map((cell, i) => {
        const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - cell.length));
        return right[i] ? space + paint(cell) : paint(cell) + (i === cells.length - 1 ? '' : space);
      })
      .join('  ');
  const heading = line(
    columns.map((column) => column.name),
    (text) => (color ? `${CSI}1m${text}${CSI}0m` : text),
  );
  return [heading, ...texts.map((cells) => line(cells, (text) => paint(text, color)))]
    .map((text) => `${text.trimEnd()}\n`)
    .join('');
}

const shown = <T>(column: Column<T>, row: T): string =>
  oneLine(column.show?.(row) ?? String(column.value(row) ?? '-'));
const oneLine = (text: string): string => text.replace(/[\t\r\n]+/g, ' ');
/** A word in its color, where colors are wanted. */
export const paint = (text: string, color: boolean): string => {
  const style = STYLES[text];
  return color && style !== undefined ? `${CSI}${style}m${text}${CSI}0m` : text;
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes for people: `1.5 GiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A time for people, UTC, to the second: `2026-11-21 22:50:11Z`. */
export const time = (iso: string | null): string =>
  iso === null ? '-' : `${new Date(iso).toISOString().slice(0, 19).replace('T', ' ')}Z`;

/** A stretch of time for people: `1m 05s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`;
  return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, '0')}m`;
}
