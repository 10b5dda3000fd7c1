/**
 * The simulator as a process. Settings, each as an argument `--name value` or in the environment:
 *
 *   --state            HOLDFAST_AZURE_STATE          folder of everything that lasts (required)
 *   --tls              HOLDFAST_AZURE_TLS            folder of the certificates (default <state>/tls)
 *   --port             HOLDFAST_AZURE_PORT           HTTPS port, 0 for a free one (default 0)
 *   --identity-port    HOLDFAST_AZURE_IDENTITY_PORT  the same for the identity endpoint
 *   --admin-port       HOLDFAST_AZURE_ADMIN_PORT     the same for the admin API
 *   --settings         HOLDFAST_AZURE_SETTINGS       JSON over the defaults of settings.ts
 *
 * Prints one line of JSON (the endpoints) when it is ready, then nothing on standard output. Ends gently on SIGTERM and SIGINT, when its
 * standard input closes or its parent's channel does. Its standard input must stay open: it is how it learns that its parent is gone.
 */
import { parseArgs } from 'node:util';
import type { SettingsOverride } from './settings.ts';
import { AzureSimulator } from './simulator.ts';

const { values } = parseArgs({
  options: {
    state: { type: 'string' },
    tls: { type: 'string' },
    port: { type: 'string' },
    'identity-port': { type: 'string' },
    'admin-port': { type: 'string' },
    settings: { type: 'string' },
  },
});

const env = (name: string) => process.env[`HOLDFAST_AZURE_${name}`];
const state = values.state ?? env('STATE');
if (!state) throw new Error('The simulator needs a folder for its state: --state <folder>.');
const tls = values.tls ?? env('TLS');
const settings = values.settings ?? env('SETTINGS');

const simulator = await AzureSimulator.start({
  stateFolder: state,
  ...(tls ? { tlsFolder: tls } : {}),
  ports: {
    https: Number(values.port ?? env('PORT') ?? 0),
    identity: Number(values['identity-port'] ?? env('IDENTITY_PORT') ?? 0),
    admin: Number(values['admin-port'] ?? env('ADMIN_PORT') ?? 0),
  },
  ...(settings ? { settings: JSON.parse(settings) as SettingsOverride } : {}),
});

let ending = false;
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await simulator.stop();
  process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end());
process.on('disconnect', () => void end());
process.stdin.on('end', () => void end());
process.stdin.on('close', () => void end());
process.stdin.resume();

process.stdout.write(`${JSON.stringify({ ready: true, ...simulator.endpoints() })}\n`);
