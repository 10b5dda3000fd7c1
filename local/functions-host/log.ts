/** What the host writes about: the app's own lines ('user'), the library's ('system') and the host's. */
export interface LogEntry {
  level: LogLevel;
  category: 'host' | 'user' | 'system';
  message: string;
  functionName?: string | undefined;
  invocationId?: string | undefined;
  instanceId?: string | undefined;
}

export type LogLevel = 'trace' | 'debug' | 'information' | 'warning' | 'error' | 'critical' | 'none';
export type Log = (entry: LogEntry) => void;

const levels: readonly LogLevel[] = ['trace', 'debug', 'information', 'warning', 'error', 'critical', 'none'];

/** Reads a level by its name in host.json, any case; throws when it is not one. */
export function parseLogLevel(text: string): LogLevel {
  const level = levels.find((candidate) => candidate === text.toLowerCase());
  if (!level) throw new Error(`"${text}" is not a log level; use one of ${levels.join(', ')}.`);
  return level;
}

/** A log that hides signatures and keys, drops what is below `level`, and writes one JSON line per entry. */
export function jsonLog(write: (line: string) => void, level: LogLevel = 'information'): Log {
  const least = levels.indexOf(level);
  return (entry) => {
    if (levels.indexOf(entry.level) < least) return;
    const line = { time: new Date().toISOString(), ...entry, message: redact(entry.message) };
    write(`${JSON.stringify(line)}\n`);
  };
}

/** Replaces what must never be read in a log: SAS signatures, function keys in URLs, bearer tokens. */
export function redact(text: string): string {
  return text
    .replace(/([?&;](?:sig|code)=)[^&\s"'\\]+/gi, '$1REDACTED')
    .replace(/\b(Bearer\s+)[\w.~+/=-]+/gi, '$1REDACTED');
}

/** One line that says what an unknown thrown value was. */
export function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
