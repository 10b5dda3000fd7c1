/**
 * Publishes what workers boot from: packs the built bundle with a Node for Linux and uploads it under its digest; the app
 * names the newest upload to its workers. Run after a deployment (azure.yaml does), as whoever is signed in to azd or az.
 *
 * Reads HOLDFAST_BLOB_ENDPOINT, HOLDFAST_PACKAGE_CONTAINER (outputs of main.bicep), and HOLDFAST_WORKER_NODE, the path of
 * a Linux x64 Node binary, which is only needed where the project's own Node is for another system.
 */
import { join } from 'node:path';
import { AzureCliCredential, AzureDeveloperCliCredential, ChainedTokenCredential } from '@azure/identity';
import { ContainerClient } from '@azure/storage-blob';
import { packageWorker, type WorkerPackage } from '../lib/workers/packageWorker.ts';

/** What of a blob container is used here. */
export interface PackageContainer {
  getBlockBlobClient(name: string): {
    uploadFile(path: string, options: object): Promise<unknown>;
  };
}

/**
 * Uploads the package. The same package may be uploaded any number of times: its name is its digest, so the bytes are the
 * same, and the upload makes it the newest again, which is how one goes back to an older version. Other packages stay.
 */
export async function publish(container: PackageContainer, made: WorkerPackage): Promise<void> {
  await container
    .getBlockBlobClient(made.name)
    .uploadFile(made.path, { blobHTTPHeaders: { blobContentType: 'application/gzip' } });
}

/** The Node that goes to workers; throws where there is none for Linux x64. */
export function workerNode(
  env: Readonly<Record<string, string | undefined>>,
  here: { readonly platform: string; readonly arch: string; readonly execPath: string } = process,
): string {
  if (env['HOLDFAST_WORKER_NODE']) return env['HOLDFAST_WORKER_NODE'];
  if (here.platform === 'linux' && here.arch === 'x64') return here.execPath;
  throw new Error(
    `Workers run Linux on x64, and this Node is for ${here.platform} on ${here.arch}. Run this on such a machine, or set ` +
      'HOLDFAST_WORKER_NODE to the "bin/node" of the Node 24 archive for Linux x64, and run it again.',
  );
}

if (import.meta.main) {
  const setting = (name: string): string => {
    const value = process.env[name];
    if (!value)
      throw new Error(`${name} is not set: run this through azd ("azd hooks run postdeploy --service app").`);
    return value;
  };
  const dist = join(import.meta.dirname, '..', 'dist');
  const made = await packageWorker(
    { bundle: join(dist, 'worker.mjs'), node: workerNode(process.env) },
    join(dist, 'packages'),
  );
  const url = new URL(setting('HOLDFAST_PACKAGE_CONTAINER'), setting('HOLDFAST_BLOB_ENDPOINT'));
  const signedIn = new ChainedTokenCredential(new AzureDeveloperCliCredential(), new AzureCliCredential());
  await publish(new ContainerClient(url.href, signedIn), made);
  console.log(`Published ${made.name} (${(made.bytes / 1024 / 1024).toFixed(1)} MiB) to ${url.href}`);
}
