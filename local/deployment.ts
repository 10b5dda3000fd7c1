import { randomBytes } from 'node:crypto';
import type { TokenCredential } from '@azure/core-auth';
import { SecretClient } from '@azure/keyvault-secrets';
import { BlobServiceClient } from '@azure/storage-blob';
import { buildBundles } from '../build.ts';
import { publish } from '../infra/publishWorker.ts';
import { packageWorker } from '../lib/workers/packageWorker.ts';
import type { StateFolder } from './stateFolder.ts';

/** The names of infra/main.bicep that the app's settings repeat. */
export const NAMES = {
  staging: 'staging',
  packages: 'worker-packages',
  meta: 'holdfast-meta',
  data: 'holdfast-data',
  passwordSecret: 'holdfast-repository-password',
  installationKeySecret: 'holdfast-installation-key',
} as const;

export interface Endpoints {
  /** Blob endpoints of the two accounts, and the vault; without a slash at the end. */
  readonly appBlobs: string;
  readonly repositoryBlobs: string;
  readonly keyVault: string;
}

/**
 * Does what deploying to Azure does, and nothing more: containers, secrets, the worker's package. Tables are made by the
 * app. Idempotent; secrets that exist stay. Secrets go from here to the vault only.
 */
export async function deploy(state: StateFolder, to: Endpoints, credential: TokenCredential): Promise<void> {
  const options = { retryOptions: { maxTries: 3, retryDelayInMs: 300 } };
  const app = new BlobServiceClient(to.appBlobs, credential, options);
  const repository = new BlobServiceClient(to.repositoryBlobs, credential, options);
  await Promise.all([
    ...[NAMES.staging, NAMES.packages].map((name) => app.getContainerClient(name).createIfNotExists()),
    ...[NAMES.meta, NAMES.data].map((name) => repository.getContainerClient(name).createIfNotExists()),
    putSecrets(to.keyVault, credential),
  ]);
  const dist = state.folder('dist');
  await buildBundles(['worker'], dist);
  // A local worker runs on this machine's Node: no binary goes into its package.
  const made = await packageWorker({ bundle: `${dist}/worker.mjs` }, state.folder('packages'));
  await publish(app.getContainerClient(NAMES.packages), made);
}

async function putSecrets(vaultUrl: string, credential: TokenCredential): Promise<void> {
  const vault = new SecretClient(vaultUrl, credential, { disableChallengeResourceVerification: true });
  for (const [name, make] of [
    [NAMES.passwordSecret, () => randomBytes(24).toString('base64url')],
    [NAMES.installationKeySecret, () => randomBytes(32).toString('base64')],
  ] as const) {
    try {
      await vault.getSecret(name);
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 404) throw error;
      await vault.setSecret(name, make());
    }
  }
}
