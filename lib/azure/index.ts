/**
 * Adapters to Azure: everything that Holdfast says to ARM, to disk SAS, to Blob Storage and to Key Vault. See README.md.
 */

export { BlobSnapshots } from './blobSnapshots.ts';
export { AzureBlobStore } from './blobs.ts';
export {
  AzureConnection,
  type AzureSettings,
  type CallOptions,
  type ConnectionOptions,
} from './connection.ts';
export { endOfSas } from './containerUrl.ts';
export { appCredential } from './credentials.ts';
export {
  closeDiskConnections,
  type DiskOptions,
  type SnapshotAccess,
  SnapshotDisk,
  type UploadAccess,
  UploadDisk,
} from './diskAccess.ts';
export { allSnapshots, type DiskSnapshots, managedSnapshots } from './diskSnapshots.ts';
export { DiskUploads, type UploadedDisk, type UploadRequest, uploadSizeOf } from './diskUploads.ts';
export { DiskGrants } from './grants.ts';
export { type KeyVault, KeyVaultSecrets } from './keyVault.ts';
export { KeyVaultKeys } from './keyVaultKeys.ts';
export { AzureLockableStore } from './lockableBlobs.ts';
export { type MachineScope, VirtualMachines } from './machines.ts';
export { ManagementGroups } from './managementGroups.ts';
export { type Operation, type OperationState, pollOperation } from './operations.ts';
export {
  isDiskRestorePoint,
  type RestorePointInfo,
  RestorePoints,
  withRestorePoints,
} from './restorePoints.ts';
export { type RunCommandInfo, RunCommands } from './runCommands.ts';
export { type IssuedSas, SasIssuer } from './sas.ts';
export { type SnapshotInfo, type SnapshotRequest, type SnapshotScope, Snapshots } from './snapshots.ts';
export { checkTags, MAX_TAG_VALUE, MAX_TAGS, type Tags } from './tags.ts';
export { metered, type ThrottleMeter } from './throttleMeter.ts';
export {
  type WorkerImage,
  type WorkerMachine,
  WorkerMachines,
  type WorkerRequest,
} from './workerMachines.ts';
export { ensureWorkerNetwork, type WorkerNetworkRequest } from './workerNetwork.ts';
