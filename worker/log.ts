import { writeSync } from 'node:fs';
// Not the folder's index: it would bring the whole of the app's telemetry into the worker.
import { redact } from '../lib/telemetry/redact.ts';

export type Level = 'info' | 'warning' | 'error';

/**
 * One JSON object a line on stdout, which the VM's journal keeps. Synchronous, so that the last words of a process that is
 * about to be killed are not lost. Strings are redacted; nobody passes URLs or secrets all the same.
 */
export function log(
  level: Level,
  event: string,
  fields: Readonly<Record<string, string | number | boolean | null>> = {},
): void {
  const clean = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === 'string' ? redact(value) : value,
  ]);
  const line = { time: new Date().toISOString(), level, event, ...Object.fromEntries(clean) };
  try {
    writeSync(1, `${JSON.stringify(line)}\n`);
  } catch {
    // Nobody reads: a full or closed pipe does not stop a backup.
  }
}
