/** Managed disks: their content (a copy-on-write store in a folder), and the data plane behind a disk's SAS. See README.md. */
export { type AccessPolicies, type IssuedGrant, openAccessPolicies, snapshotTime } from './accessPolicies.ts';
export { createDataPlane, type DataPlaneLogEntry, type DataPlaneOptions } from './dataPlane.ts';
export { type DataPlaneFaults, FaultScript } from './faults.ts';
export { openDiskStore } from './folderStore.ts';
export { importRaw } from './importRaw.ts';
export type { ByteRange, ChangedRange, DiskStore } from './types.ts';
export { fixedVhdFooter, validateFooter } from './vhdFooter.ts';
