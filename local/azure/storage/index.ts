/**
 * Storage accounts of the simulator: page blobs, which unmanaged disks are. Not there: block blobs, versions, soft delete, account keys,
 * leases by request (a machine's lease on its disk is shown and held against others), copies.
 */
export { Delegation } from './delegation.ts';
export { StoragePlane } from './plane.ts';
export { type BlobPlace, FOOTER_BYTES, type PageBlobRecord, StorageAccounts } from './records.ts';
