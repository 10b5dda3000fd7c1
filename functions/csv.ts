import { type CsvCell, csvLine } from '../lib/model/index.ts';

/** A column of an export: its heading, and what a row has there. Programs read it: bytes, seconds, ISO times. */
export interface CsvColumn<T> {
  readonly name: string;
  value(row: T): CsvCell;
}

/** RFC 4180, with a heading. Text that a spreadsheet would run is given a quote in front. */
export const csvOf = <T>(columns: readonly CsvColumn<T>[], rows: readonly T[]): string =>
  [
    csvLine(columns.map(({ name }) => name)),
    ...rows.map((row) => csvLine(columns.map((column) => column.value(row)))),
  ].join('');
