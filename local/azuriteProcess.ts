/**
 * Azurite as a child of a local run. It is given Azurite's own arguments, says with a JSON line when all three services
 * listen, and ends gently (Azurite then writes down what it holds) on SIGTERM, and when the launcher is gone, however that
 * ended: its stdin closes. Never SIGKILL it: it loses writes that it has acknowledged.
 */
import { createRequire } from 'node:module';

const LISTENS = /Azurite (Blob|Queue|Table) service is successfully listening at (\S+)/;
const found: Record<string, string> = {};

// The launcher may be gone while Azurite still says that it closes.
process.stdout.on('error', () => {});
console.log = (...said: unknown[]) => {
  const line = said.map(String).join(' ');
  const [, service, url] = LISTENS.exec(line) ?? [];
  if (service === undefined || url === undefined) {
    process.stderr.write(`${line}\n`);
    return;
  }
  found[service.toLowerCase()] = url.replace(/\/$/, '');
  if (Object.keys(found).length === 3) process.stdout.write(`${JSON.stringify({ ready: true, ...found })}\n`);
};

process.stdin.once('close', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
// It must not keep the process alive once Azurite has closed.
(process.stdin as { unref?: () => void }).unref?.();

createRequire(import.meta.url)('azurite/dist/src/azurite.js');
