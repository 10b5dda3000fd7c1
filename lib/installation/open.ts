import {
  AzureBlobStore,
  AzureConnection,
  allSnapshots,
  appCredential,
  BlobSnapshots,
  DiskGrants,
  DiskUploads,
  KeyVaultKeys,
  KeyVaultSecrets,
  ManagementGroups,
  managedSnapshots,
  RestorePoints,
  RunCommands,
  SasIssuer,
  SnapshotDisk,
  Snapshots,
  VirtualMachines,
  withRestorePoints,
} from '../azure/index.ts';
import { azureTables, openCatalog } from '../catalog/index.ts';
import { type Clock, systemClock } from '../model/index.ts';
import type { Telemetry } from '../telemetry/index.ts';
import {
  cloudInit,
  entraIssuers,
  Fleet,
  type FleetEvent,
  JobQueue,
  TokenCheck,
  type WorkerPool,
} from '../workers/index.ts';
import type { Installation } from './installation.ts';
import { once } from './once.ts';
import { OWNER_TAG } from './ownerTag.ts';
import { Repositories } from './repositories.ts';
import { readInstallationKey } from './repository.ts';
import { readSettings, type Settings } from './settings.ts';
import { azureWorkers } from './workerMachines.ts';
import { workerPrefix } from './workerPrefix.ts';

/** Makes an installation from the environment. No call is made before something is asked of it. */
export function makeInstallation(
  env: NodeJS.ProcessEnv,
  telemetry: Telemetry,
  clock: Clock = systemClock,
): Installation {
  const settings = readSettings(env);
  const credential = appCredential(
    settings.HOLDFAST_CLIENT_ID === '' ? undefined : settings.HOLDFAST_CLIENT_ID,
  );
  const subscriptionId =
    settings.HOLDFAST_WORKER_SUBSCRIPTION_ID || (settings.HOLDFAST_SUBSCRIPTION_IDS[0] ?? '');
  const connection = new AzureConnection(
    { armEndpoint: settings.HOLDFAST_ARM_ENDPOINT, subscriptionId },
    { credential, clock },
  );
  const tables = azureTables({ url: settings.HOLDFAST_TABLE_ENDPOINT, credential });
  const catalog = openCatalog(tables, clock);
  const vault = new KeyVaultSecrets(settings.HOLDFAST_KEY_VAULT_URL, credential);
  const vaultKeys = new KeyVaultKeys(settings.HOLDFAST_KEY_VAULT_URL, credential);
  const repositories = new Repositories({ settings, credential, vault, vaultKeys, catalog, clock });
  const container = (name: string) =>
    AzureBlobStore.withCredential(`${settings.HOLDFAST_BLOB_ENDPOINT}/${name}`, credential);
  const tags = { [OWNER_TAG]: settings.HOLDFAST_INSTALLATION_ID };
  return {
    settings,
    clock,
    telemetry,
    azure: {
      machines: new VirtualMachines(connection),
      managementGroups: new ManagementGroups(connection),
      snapshots: snapshotsOf(connection),
      restorePoints: new RestorePoints(connection),
      runCommands: new RunCommands(connection),
      uploads: new DiskUploads(connection),
      grants: new DiskGrants(connection),
      disks: { open: (access) => new SnapshotDisk(access) },
      appSas: new SasIssuer(settings.HOLDFAST_BLOB_ENDPOINT, credential, clock),
    },
    catalog,
    states: tables('holdfastSessionStates'),
    queue: new JobQueue(catalog.jobs, clock),
    fleet: new Fleet(catalog, azureWorkers(connection, settings, tags), clock, {
      prefix: workerPrefix(settings),
      customData: cloudInit({
        appUrl: settings.HOLDFAST_APP_URL,
        audience: settings.HOLDFAST_WORKER_AUDIENCE,
      }),
      tags,
      tell: (event) => tellOf(telemetry, event),
    }),
    workerTokens: new TokenCheck(
      {
        issuers: entraIssuers(settings.HOLDFAST_TENANT_ID, settings.HOLDFAST_AUTHORITY_HOST),
        jwksUrl: `${settings.HOLDFAST_AUTHORITY_HOST}/${settings.HOLDFAST_TENANT_ID}/discovery/v2.0/keys`,
        audiences: [settings.HOLDFAST_WORKER_AUDIENCE],
      },
      clock,
    ),
    staging: container(settings.HOLDFAST_STAGING_CONTAINER),
    packages: container(settings.HOLDFAST_PACKAGE_CONTAINER),
    workerPool: (name) => poolOf(settings, name),
    repository: (id) => repositories.open(id),
    repositoryById: (repositoryId) => repositories.openById(repositoryId),
    repositoryPlaces: () => repositories.places(),
    tryRepository: (place, takeOver) => repositories.trial(place, takeOver),
    repositoryAccess: (id) => repositories.access(id),
    reopenRepository: (id) => repositories.forget(id),
    vault,
    vaultKeys,
    identity: once(async () => ({
      id: settings.HOLDFAST_INSTALLATION_ID,
      key: await readInstallationKey(settings, vault),
    })),
  };
}

function snapshotsOf(connection: AzureConnection): Installation['azure']['snapshots'] {
  const managed = new Snapshots(connection);
  return {
    ...withRestorePoints(
      allSnapshots(managedSnapshots(managed, new DiskGrants(connection)), new BlobSnapshots(connection)),
      new RestorePoints(connection),
    ),
    groupExists: (...where) => managed.groupExists(...where),
    canBeZoneRedundant: (...where) => managed.canBeZoneRedundant(...where),
  };
}

function tellOf(telemetry: Telemetry, event: FleetEvent): void {
  const { name: workerId, region } = event;
  if (event.kind === 'launched')
    telemetry.event('holdfast.worker.launched', { workerId, region, size: event.size, how: event.how });
  else
    telemetry.event('holdfast.worker.released', { workerId, region, how: event.how, reason: event.reason });
}

/** A pool is a region: its name is the region's. */
const poolOf = (settings: Settings, name: string): WorkerPool => ({
  name,
  location: name,
  max: settings.HOLDFAST_WORKER_SLOTS,
  min: Math.min(settings.HOLDFAST_WORKER_KEEP, settings.HOLDFAST_WORKER_SLOTS),
  ladder: settings.HOLDFAST_WORKER_SIZES.map((size) => ({ size, zone: null })),
});
