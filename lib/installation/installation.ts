import type { DiskGrants, DiskUploads, SasIssuer, Snapshots, VirtualMachines } from '../azure/index.ts';
import type { Catalog, EntityTable } from '../catalog/index.ts';
import type { Clock } from '../model/index.ts';
import type { BlobStore, Repository } from '../repository/index.ts';
import type { Telemetry } from '../telemetry/index.ts';
import type { Fleet, JobQueue, TokenCheck, WorkerPool } from '../workers/index.ts';
import type { Settings } from './settings.ts';

/** What the steps of sessions ask of Azure. */
export interface AzurePorts {
  readonly machines: Pick<VirtualMachines, 'list' | 'get' | 'readConfiguration'>;
  readonly snapshots: Pick<Snapshots, 'find' | 'list' | 'startCreate' | 'startRemove'>;
  readonly uploads: Pick<DiskUploads, 'find' | 'get' | 'startCreate' | 'startRemove'>;
  readonly grants: Pick<DiskGrants, 'grantAccess' | 'revokeAccess'>;
  /** Of the repository's storage account, and of the app's. */
  readonly repositorySas: Pick<SasIssuer, 'forWorker'>;
  readonly appSas: Pick<SasIssuer, 'forWorker' | 'forReading'>;
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
  /** The repository, opened once; founded at the very first use. */
  repository(): Promise<Repository>;
  /** The installation's id, and the key that seals the tags of its snapshots. The key is a secret. */
  identity(): Promise<{ readonly id: string; readonly key: Buffer }>;
}
