import { randomBytes } from 'node:crypto';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { z } from 'zod';
import { type Clock, HoldfastError, systemClock } from '../lib/model/index.ts';
import { LocalApi } from './api.ts';
import { AdminClient } from './azure/index.ts';
import { ensureTls } from './azure/tls.ts';
import { ACCOUNTS, azuriteSpec } from './azurite.ts';
import { Children } from './children.ts';
import { identityCredential } from './credential.ts';
import { DEMO } from './demo/subscription.ts';
import { deploy, NAMES } from './deployment.ts';
import { endOrphans } from './orphans.ts';
import { choosePorts } from './ports.ts';
import { takeRunLock } from './runLock.ts';
import { PROJECT, type StateFolder } from './stateFolder.ts';
import { furnish } from './tenant.ts';

/** A running system: the app on the local Functions host, the Azure simulator, Azurite. */
export interface LocalSystem {
  /** Of the app, without `/api`. */
  readonly url: string;
  readonly key: string;
  readonly api: LocalApi;
  readonly admin: AdminClient;
  /** A message when a part of it dies by itself; never resolves otherwise. */
  readonly died: Promise<string>;
  /** Things worth a line: orphans that were ended, ports that moved. */
  readonly notes: readonly string[];
  /** Stops everything, in order. Answers with the names of parts that would not stop gently. */
  stop(): Promise<string[]>;
}

export interface SystemOptions {
  /** Runs between the simulator's start and the app's: puts machines into the subscription. */
  readonly populate: (admin: AdminClient) => Promise<void>;
  /** Aborts the start; `startSystem` then rejects once everything is stopped. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Settings of the app over those of a local run. */
  readonly settings?: Readonly<Record<string, string>>;
}

const identitySchema = z.object({ installationId: z.string(), functionKey: z.string().min(20) });
const simulatorSchema = z.object({
  armUrl: z.string(),
  tenantId: z.string(),
  identityEndpoint: z.string(),
  adminUrl: z.string(),
  adminKey: z.string(),
});
const hostSchema = z.object({ url: z.string(), httpsUrl: z.string() });

/**
 * Starts the whole system on a state folder, or goes on where the last one stopped. Throws `conflict` when another run holds
 * the folder; whatever fails later, what was started is stopped again. Writes `run.json` for the CLI.
 */
export async function startSystem(state: StateFolder, options: SystemOptions): Promise<LocalSystem> {
  const clock = options.clock ?? systemClock;
  const release = takeRunLock(state);
  const children = new Children(state);
  const died = new Promise<string>((resolve) => {
    children.onDeath = resolve;
  });
  const abort = () => void children.stopAll();
  options.signal?.addEventListener('abort', abort, { once: true });
  const stop = async () => {
    options.signal?.removeEventListener('abort', abort);
    const stubborn = await children.stopAll();
    state.remove('run.json');
    release();
    return stubborn;
  };
  try {
    const early = died.then((message) => Promise.reject(new HoldfastError('unavailable', message)));
    const parts = await Promise.race([bringUp(state, options, clock, children), early]);
    return { ...parts, died, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts part after part. What it has started is in `children`, also when it throws. */
async function bringUp(
  state: StateFolder,
  options: SystemOptions,
  clock: Clock,
  children: Children,
): Promise<Omit<LocalSystem, 'died' | 'stop'>> {
  const ended = await endOrphans(state, clock);
  const { ports, moved } = await choosePorts(state);
  const notes = [
    ...(ended.length > 0 ? [`Ended what an earlier run left behind: ${ended.join(', ')}.`] : []),
    ...(moved.length > 0 ? [`Another program took a port; new ones for: ${moved.join(', ')}.`] : []),
  ];
  const { installationId, functionKey } = identityOf(state);
  const tls = await ensureTls(state.folder('tls'));
  setDefaultCACertificates([...getCACertificates('default'), tls.caPem]);
  const [azurite, simulator] = await Promise.all([
    children.start(azuriteSpec(state, ports, tls)),
    children.start({
      name: 'azure',
      program: 'local/azure/main.ts',
      env: {
        HOLDFAST_AZURE_STATE: state.folder('azure'),
        HOLDFAST_AZURE_TLS: state.folder('tls'),
        HOLDFAST_AZURE_PORT: String(ports.simulator),
        HOLDFAST_AZURE_IDENTITY_PORT: String(ports.identity),
        HOLDFAST_AZURE_ADMIN_PORT: String(ports.admin),
      },
    }),
  ]);
  const azure = simulatorSchema.parse(simulator);
  const storage = z.object({ blob: z.string(), table: z.string() }).parse(azurite);
  const admin = new AdminClient(azure);
  const tenant = await furnish(admin);
  await options.populate(admin);
  const blobs = (account: string) => `${storage.blob}/${account}`;
  await deploy(
    state,
    {
      appBlobs: blobs(ACCOUNTS.app),
      repositoryBlobs: blobs(ACCOUNTS.repository),
      keyVault: tenant.keyVaultUrl,
    },
    identityCredential(azure.identityEndpoint, tenant.deployerHeader),
  );
  const ready = hostSchema.parse(
    await children.start({
      name: 'host',
      program: 'local/functions-host/main.ts',
      env: {
        HOLDFAST_HOST_ROOT: PROJECT,
        HOLDFAST_HOST_ENTRY: 'functions/main.ts',
        HOLDFAST_HOST_STATE: state.folder('host'),
        HOLDFAST_HOST_PORT: String(ports.host),
        HOLDFAST_HOST_HTTPS_PORT: String(ports.hostHttps),
        HOLDFAST_HOST_TLS_CERT: tls.certFile,
        HOLDFAST_HOST_TLS_KEY: tls.keyFile,
        HOLDFAST_FUNCTION_KEY: functionKey,
        NODE_EXTRA_CA_CERTS: tls.caFile,
        IDENTITY_ENDPOINT: azure.identityEndpoint,
        IDENTITY_HEADER: tenant.appHeader,
        HOLDFAST_INSTALLATION_ID: installationId,
        HOLDFAST_SUBSCRIPTION_IDS: DEMO.subscriptionId,
        HOLDFAST_LOCATION: DEMO.location,
        HOLDFAST_TENANT_ID: azure.tenantId,
        HOLDFAST_TABLE_ENDPOINT: `${storage.table}/${ACCOUNTS.app}`,
        HOLDFAST_BLOB_ENDPOINT: blobs(ACCOUNTS.app),
        HOLDFAST_STAGING_CONTAINER: NAMES.staging,
        HOLDFAST_PACKAGE_CONTAINER: NAMES.packages,
        HOLDFAST_REPOSITORY_ENDPOINT: blobs(ACCOUNTS.repository),
        HOLDFAST_META_CONTAINER: NAMES.meta,
        HOLDFAST_DATA_CONTAINER: NAMES.data,
        HOLDFAST_KEY_VAULT_URL: tenant.keyVaultUrl,
        HOLDFAST_PASSWORD_SECRET: NAMES.passwordSecret,
        HOLDFAST_INSTALLATION_KEY_SECRET: NAMES.installationKeySecret,
        HOLDFAST_WORKER_SUBSCRIPTION_ID: DEMO.subscriptionId,
        HOLDFAST_WORKER_RESOURCE_GROUP: DEMO.workerResourceGroup,
        HOLDFAST_WORKER_AUDIENCE: DEMO.workerAudience,
        HOLDFAST_APP_URL: `https://127.0.0.1:${ports.hostHttps}`,
        HOLDFAST_ARM_ENDPOINT: azure.armUrl,
        HOLDFAST_AUTHORITY_HOST: azure.armUrl,
        HOLDFAST_TASK_HUB: 'HoldfastLocal',
        // Nothing here takes minutes; on Azure the waits are longer.
        HOLDFAST_POLL_SECONDS: '0.5',
        ...options.settings,
      },
    }),
  );
  state.write('run.json', {
    url: ready.url,
    key: functionKey,
    httpsUrl: ready.httpsUrl,
    pids: { launcher: process.pid, ...children.pids() },
    ports,
    admin: { adminUrl: azure.adminUrl, adminKey: azure.adminKey },
  });
  return {
    url: ready.url,
    key: functionKey,
    api: new LocalApi(ready.url, functionKey, clock),
    admin,
    notes,
  };
}

/** Who this installation is, and the key of its API: made once. */
function identityOf(state: StateFolder): z.infer<typeof identitySchema> {
  const known = identitySchema.safeParse(state.read('installation.json'));
  if (known.success) return known.data;
  const made = {
    installationId: `local-${randomBytes(4).toString('hex')}`,
    functionKey: randomBytes(32).toString('base64url'),
  };
  state.write('installation.json', made);
  return made;
}
