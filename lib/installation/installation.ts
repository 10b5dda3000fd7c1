import type {
  DiskGrants,
  DiskSnapshots,
  DiskUploads,
  IssuedSas,
  KeyVault,
  KeyVaultKeys,
  ManagementGroups,
  RestorePoints,
  RunCommands,
  SasIssuer,
  SnapshotAccess,
  Snapshots,
  VirtualMachines,
} from '../azure/index.ts';
import type { Catalog, EntityTable } from '../catalog/index.ts';
import type { DiskSource, PageLists } from '../datapath/index.ts';
import type { Clock, RepositoryPlace } from '../model/index.ts';
import type { BlobStore, PointLocks, Repository, Unlock } from '../repository/index.ts';
import type { Telemetry } from '../telemetry/index.ts';
import type { Fleet, JobQueue, TokenCheck, WorkerPool } from '../workers/index.ts';
import type { Settings } from './settings.ts';

/** What the steps of sessions ask of Azure. */
export interface AzurePorts {
  readonly machines: Pick<VirtualMachines, 'list' | 'powerStates' | 'get' | 'readConfiguration'>;
  readonly managementGroups: Pick<ManagementGroups, 'subscriptionsBelow'>;
  /** Of managed and of unmanaged disks; and where those of managed ones can be kept. */
  readonly snapshots: DiskSnapshots & Pick<Snapshots, 'groupExists' | 'canBeZoneRedundant'>;
  /** One moment for all disks of a machine. */
  readonly restorePoints: Pick<
    RestorePoints,
    'start' | 'poll' | 'find' | 'findDisk' | 'exists' | 'startRemove'
  >;
  /** Scripts in guests. */
  readonly runCommands: Pick<RunCommands, 'start' | 'poll' | 'find' | 'startRemove'>;
  readonly uploads: Pick<DiskUploads, 'find' | 'get' | 'startCreate' | 'startRemove'>;
  /** Of disks in upload; the reading of snapshots is granted by `snapshots`. */
  readonly grants: Pick<DiskGrants, 'grantAccess' | 'revokeAccess'>;
  /** Reads a snapshot, and what the platform says of it, by the access that was granted. */
  readonly disks: { open(access: SnapshotAccess): DiskSource & PageLists };
  /** Of the app's storage account. */
  readonly appSas: Pick<SasIssuer, 'forWorker' | 'forReading'>;
}

/** Where a repository is, and the app's own way into it. */
export interface RepositoryAccess {
  readonly meta: BlobStore;
  readonly data: BlobStore;
  readonly unlock: Unlock;
  /** Name of the Key Vault key that opens it; empty: the password does. */
  readonly keyVaultKey: string;
  /** Name of the secret with the password. */
  readonly passwordSecret: string;
}

/** A repository as the installation uses it. */
export interface InstalledRepository extends Repository {
  readonly place: RepositoryPlace;
  /** Where restore points are immutable: what locks them. Null: they are not. */
  readonly locks: PointLocks | null;
  /** For a worker: create and read blobs of the data container; no list, no overwrite, no delete. */
  workerSas(seconds: number): Promise<IssuedSas>;
}

/** One installation of Holdfast: everything that its functions work with. */
export interface Installation {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly azure: AzurePorts;
  readonly catalog: Catalog;
  /** The table of session states: what the steps of a session tell each other. */
  readonly states: EntityTable;
  readonly queue: JobQueue;
  readonly fleet: Fleet;
  readonly workerTokens: TokenCheck;
  /** Plans and page tables, for workers. */
  readonly staging: BlobStore;
  /** Worker programs, put there by the deployment. */
  readonly packages: BlobStore;
  /** The pool of a region, by its name. */
  workerPool(name: string): WorkerPool;
  /** A repository by its name here, opened once; founded at the very first use. `notFound` when nobody registered it. */
  repository(id?: string): Promise<InstalledRepository>;
  /** The repository that a row of the catalog names by the repository's own id; null: the one of the settings. */
  repositoryById(repositoryId: string | null): Promise<InstalledRepository>;
  /** Where the repositories are: the one of the settings first. */
  repositoryPlaces(): Promise<RepositoryPlace[]>;
  /** Opens, or founds, what is to become a repository of the installation. Nothing is kept of it. */
  tryRepository(place: RepositoryPlace, takeOver?: string): Promise<InstalledRepository>;
  /** A repository, not opened: what changes its key slots or its owner begins here. */
  repositoryAccess(id?: string): Promise<RepositoryAccess>;
  /** Its owner or its ways in have changed: the next use opens it anew. */
  reopenRepository(id?: string): void;
  /** Secrets and keys of the installation's vault. */
  readonly vault: KeyVault;
  readonly vaultKeys: Pick<KeyVaultKeys, 'keyId' | 'wrap' | 'unwrap'>;
  /** The installation's id, and the key that seals the tags of its snapshots. The key is a secret. */
  identity(): Promise<{ readonly id: string; readonly key: Buffer }>;
}
