import { Console } from 'node:console';
import { fstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { LocalFunctionsHost } from './host.ts';
import { describeError, redact } from './log.ts';
import { type ProcessSettings, readProcessSettings } from './processSettings.ts';

/**
 * The Functions host as a process: `node local/functions-host/main.ts`, told by environment variables
 * (README.md). Prints one line of JSON on stdout when it is ready; everything else goes to stderr. Ends on
 * SIGTERM, SIGINT, or when the process that started it goes away.
 */
async function main(): Promise<void> {
  // stdout is for the ready line: what the app prints goes to stderr.
  globalThis.console = new Console(process.stderr, process.stderr);
  const settings = readProcessSettings(process.env);
  const host = new LocalFunctionsHost({ ...settings, tls: await readTls(settings) });
  const end = stopOnce(host, settings.graceMs);
  process.on('SIGTERM', () => end(0, 'signal'));
  process.on('SIGINT', () => end(0, 'signal'));
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${redact(`The app broke the Functions host: ${describeError(error)}`)}\n`);
    end(1);
  });
  watchParent(() => end(0));
  const { url, httpsUrl, functions } = await host.start();
  process.stdout.write(`${JSON.stringify({ ready: true, url, httpsUrl, pid: process.pid, functions })}\n`);
}

async function readTls(settings: ProcessSettings): Promise<{ cert: string; key: string } | undefined> {
  if (!settings.tlsFiles) return undefined;
  const [cert, key] = settings.tlsFiles;
  return { cert: await readFile(resolve(cert), 'utf8'), key: await readFile(resolve(key), 'utf8') };
}

/** Ctrl-C reaches this process and its parent, which then signals too: only a later one is impatience. */
const samePress = 1000;

function stopOnce(host: LocalFunctionsHost, graceMs: number): (code: number, by?: 'signal') => void {
  let stoppingSince: number | undefined;
  return (code, by) => {
    if (stoppingSince !== undefined) {
      if (by === 'signal' && performance.now() - stoppingSince > samePress) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    host.stop(graceMs).then(
      () => process.exit(code),
      (error: unknown) => {
        process.stderr.write(`${redact(describeError(error))}\n`);
        process.exit(1);
      },
    );
  };
}

/** Calls back when the parent is gone: its IPC channel is closed, or the pipe that is our stdin. */
function watchParent(gone: () => void): void {
  if (process.connected) process.once('disconnect', gone);
  const stdin = fstatSync(0);
  if (!stdin.isFIFO() && !stdin.isSocket()) return;
  process.stdin.once('close', gone);
  process.stdin.resume();
}

main().catch((error: unknown) => {
  process.stderr.write(`${redact(describeError(error))}\n`);
  process.exit(1);
});
