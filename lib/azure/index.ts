/**
 * Adapters to Azure: everything that Holdfast says to ARM, to disk SAS, to Blob Storage and to Key Vault. See README.md.
 */
export { AzureBlobStore } from './blobs.ts';
export {
  AzureConnection,
  type AzureSettings,
  type CallOptions,
  type ConnectionOptions,
} from './connection.ts';
export { appCredential } from './credentials.ts';
export {
  closeDiskConnections,
  type DiskOptions,
  type SnapshotAccess,
  SnapshotDisk,
  type UploadAccess,
  UploadDisk,
} from './diskAccess.ts';
export { DiskUploads, type UploadedDisk, type UploadRequest } from './diskUploads.ts';
export { DiskGrants } from './grants.ts';
export { type KeyVault, KeyVaultSecrets } from './keyVault.ts';
export { KeyVaultKeys } from './keyVaultKeys.ts';
export { AzureLockableStore } from './lockableBlobs.ts';
export { type MachineScope, VirtualMachines } from './machines.ts';
export { type Operation, type OperationState, pollOperation } from './operations.ts';
export { type IssuedSas, SasIssuer } from './sas.ts';
export { type SnapshotInfo, type SnapshotRequest, type SnapshotScope, Snapshots } from './snapshots.ts';
export { MAX_TAG_VALUE, MAX_TAGS, type Tags } from './tags.ts';
export {
  type WorkerImage,
  type WorkerMachine,
  WorkerMachines,
  type WorkerRequest,
} from './workerMachines.ts';
export { ensureWorkerNetwork, type WorkerNetworkRequest } from './workerNetwork.ts';
