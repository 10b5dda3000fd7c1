import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { LoopbackTls } from './azure/tls.ts';
import type { ChildSpec } from './children.ts';
import type { Ports } from './ports.ts';
import type { StateFolder } from './stateFolder.ts';

/** Storage accounts of a local run: the app's tables and containers, and the repository. */
export const ACCOUNTS = { app: 'holdfastapp', repository: 'holdfastrepo' } as const;

const accountsSchema = z.string().min(1);

/**
 * Azurite over TLS that takes bearer tokens and user-delegation SAS. Its accounts must have keys, so they have random ones
 * that nobody is told; what needs an account key fails here as it would on Azure, where they are switched off.
 */
export function azuriteSpec(state: StateFolder, ports: Ports, tls: LoopbackTls): ChildSpec {
  const known = accountsSchema.safeParse(state.read('azurite.json'));
  const key = () => randomBytes(64).toString('base64');
  const accounts = known.success
    ? known.data
    : Object.values(ACCOUNTS)
        .map((account) => `${account}:${key()}`)
        .join(';');
  // A user-delegation key is derived from the account's: SAS of an earlier run stay valid while they last.
  if (!known.success) state.write('azurite.json', accounts);
  return {
    name: 'azurite',
    program: 'local/azuriteProcess.ts',
    args: [
      '--location',
      state.folder('azurite'),
      ...(['blob', 'queue', 'table'] as const).flatMap((service) => [
        `--${service}Host`,
        '127.0.0.1',
        `--${service}Port`,
        String(ports[service]),
      ]),
      '--cert',
      tls.certFile,
      '--key',
      tls.keyFile,
      '--oauth',
      'basic',
      '--skipApiVersionCheck',
      '--disableTelemetry',
      '--silent',
    ],
    env: { AZURITE_ACCOUNTS: accounts },
    gentle: true,
  };
}
