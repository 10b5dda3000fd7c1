/**
 * Every request that any surface of the simulator answered, in the order of completion: kept in memory (the newest ten thousand) and
 * appended to `requests.jsonl`. A path is logged without the value of `sig`; no header and no body is.
 */
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export type Surface =
  | 'arm'
  | 'entra'
  | 'keyVault'
  | 'disk'
  | 'storage'
  | 'identity'
  | 'imds'
  | 'admin'
  | 'unknown';

export interface LoggedRequest {
  /** ISO 8601, of the simulator's clock. */
  time: string;
  surface: Surface;
  method: string;
  /** Path and query; the value of `sig` is `REDACTED`. */
  path: string;
  /** 0 when the connection was dropped by an injected fault. */
  status: number;
  milliseconds: number;
  /** Object id of the caller, when a valid token named one. */
  principal?: string;
  /** Id of the virtual machine whose metadata service was asked. */
  virtualMachine?: string;
  userAgent?: string;
  /** Error code of the answer. */
  code?: string;
  /** Id of the injected fault that changed the answer. */
  fault?: string;
}

const KEPT = 10_000;
const MAX_FILE_BYTES = 64 * 1024 * 1024;

export function redactSignature(path: string): string {
  return path
    .replace(/([?&]sig=)[^&]*/gi, '$1REDACTED')
    .replace(/(%3Fsig%3D|%26sig%3D)[^&]*?(?=%26|&|$)/gi, '$1REDACTED');
}

export class RequestLog {
  private readonly entries: LoggedRequest[] = [];
  private readonly file: string;
  private descriptor: number;
  private bytes: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.file = join(folder, 'requests.jsonl');
    this.descriptor = openSync(this.file, 'a', 0o600);
    this.bytes = statSync(this.file).size;
  }

  append(entry: LoggedRequest): void {
    const clean = { ...entry, path: redactSignature(entry.path) };
    this.entries.push(clean);
    if (this.entries.length > KEPT * 1.1) this.entries.splice(0, this.entries.length - KEPT);
    const line = `${JSON.stringify(clean)}\n`;
    if (this.bytes + line.length > MAX_FILE_BYTES) this.rotate();
    writeSync(this.descriptor, line);
    this.bytes += line.length;
  }

  /** The newest requests in memory that `match` keeps, oldest first. */
  query(
    match: Partial<Pick<LoggedRequest, 'surface' | 'method' | 'principal' | 'status'>> & {
      path?: RegExp;
    } = {},
  ): LoggedRequest[] {
    const { path, ...exact } = match;
    const wanted = Object.entries(exact).filter(([, value]) => value !== undefined);
    return this.entries.filter(
      (entry) =>
        wanted.every(([key, value]) => entry[key as keyof LoggedRequest] === value) &&
        (path?.test(entry.path) ?? true),
    );
  }

  clear(): void {
    this.entries.length = 0;
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private rotate(): void {
    closeSync(this.descriptor);
    renameSync(this.file, `${this.file}.1`);
    this.descriptor = openSync(this.file, 'a', 0o600);
    this.bytes = 0;
  }
}
