import type { Clock } from '../lib/model/index.ts';
import type { ApiClient } from './api.ts';
import type { ExitCode } from './exitCodes.ts';
import { type Column, type Format, formatList, formatOne } from './output.ts';
import type { ProgressStream } from './progress.ts';

/** What a command works with; one for each run of the program. */
export interface Context {
  /** The client of the service. Throws when no service is configured: only called when a command needs it. */
  api(): ApiClient;
  readonly clock: Clock;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly stderr: ProgressStream;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly color: boolean;
  format: Format;
  exitCode: ExitCode;
}

export function printList<T>(
  context: Context,
  columns: readonly Column<T>[],
  rows: readonly T[],
  none: string,
): void {
  if (rows.length === 0 && context.format === 'table') context.stderr.write(`${none}\n`);
  else context.stdout.write(formatList(context.format, columns, rows, context.color));
}

export function printOne<T>(context: Context, columns: readonly Column<T>[], row: T): void {
  context.stdout.write(formatOne(context.format, columns, row, context.color));
}
