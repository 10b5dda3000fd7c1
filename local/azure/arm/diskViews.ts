/** Disks and snapshots as ARM shows them. */

import { azureTime, DISK_SERVICE_ZONE } from '../clock.ts';
import {
  DISKS,
  type DiskLike,
  type DiskRecord,
  type DiskRecords,
  gibibytes,
  SNAPSHOTS,
  type SnapshotRecord,
} from './diskRecords.ts';
import type { ResourceView } from './ids.ts';

export type DiskState =
  | 'Unattached'
  | 'Attached'
  | 'Reserved'
  | 'ActiveSAS'
  | 'ReadyToUpload'
  | 'ActiveUpload';

export const tierOf = (sku: string) => sku.replace(/_.*$/, '').replace(/(SSD|V2)$/, '');

const ENCRYPTION = { type: 'EncryptionAtRestWithPlatformKey' };

function common(record: DiskLike): object {
  return {
    ...(record.osType === undefined ? {} : { osType: record.osType }),
    ...(record.hyperVGeneration === undefined ? {} : { hyperVGeneration: record.hyperVGeneration }),
  };
}

/** `deallocated` tells whether the machine with this id is deallocated. */
export function diskState(
  record: DiskRecord,
  records: DiskRecords,
  deallocated: (machineId: string) => boolean,
): DiskState {
  const grant = records.activeGrant(record);
  if (record.uploading) return grant ? 'ActiveUpload' : 'ReadyToUpload';
  if (grant) return 'ActiveSAS';
  if (record.managedBy === undefined) return 'Unattached';
  return deallocated(record.managedBy) ? 'Reserved' : 'Attached';
}

export function diskView(record: DiskRecord, state: DiskState): ResourceView {
  return {
    name: record.name,
    id: record.id,
    type: DISKS,
    location: record.location,
    tags: record.tags,
    ...(record.zones === undefined ? {} : { zones: record.zones }),
    ...(record.managedBy === undefined ? {} : { managedBy: record.managedBy }),
    sku: { name: record.sku, tier: tierOf(record.sku) },
    properties: {
      ...common(record),
      creationData: record.creation,
      ...(record.uploading
        ? {}
        : { diskSizeGB: gibibytes(record.sizeBytes), diskSizeBytes: record.sizeBytes }),
      diskIOPSReadWrite: 500,
      diskMBpsReadWrite: 60,
      encryption: ENCRYPTION,
      networkAccessPolicy: 'AllowAll',
      publicNetworkAccess: 'Enabled',
      ...record.echoed,
      timeCreated: azureTime(new Date(record.timeCreated), DISK_SERVICE_ZONE),
      provisioningState: record.provisioningState,
      diskState: state,
      uniqueId: record.uniqueId,
    },
  };
}

export function snapshotView(record: SnapshotRecord, records: DiskRecords): ResourceView {
  const completionPercent = records.completionPercent(record);
  return {
    name: record.name,
    id: record.id,
    type: SNAPSHOTS,
    location: record.location,
    tags: record.tags,
    sku: { name: record.sku, tier: tierOf(record.sku) },
    properties: {
      ...common(record),
      creationData: {
        createOption: 'Copy',
        sourceResourceId: record.sourceResourceId,
        sourceUniqueId: record.sourceUniqueId,
      },
      diskSizeGB: gibibytes(record.sizeBytes),
      encryption: ENCRYPTION,
      incremental: record.incremental,
      networkAccessPolicy: 'AllowAll',
      publicNetworkAccess: 'Enabled',
      ...record.echoed,
      timeCreated: azureTime(new Date(record.timeCreated), DISK_SERVICE_ZONE),
      provisioningState: record.provisioningState,
      diskState: records.activeGrant(record) ? 'ActiveSAS' : 'Unattached',
      diskSizeBytes: record.sizeBytes,
      uniqueId: record.uniqueId,
      ...(completionPercent === undefined ? {} : { completionPercent }),
      ...(record.familyId === undefined ? {} : { incrementalSnapshotFamilyId: record.familyId }),
    },
  };
}

/** The body of the 202: what was asked for, without what the operation is still to find out. */
export function acceptedView(view: object): object {
  const { location, sku, tags, zones, properties } = view as {
    location: string;
    sku: { name: string };
    tags?: object;
    zones?: string[];
    properties: Record<string, unknown>;
  };
  const shown = [
    'osType',
    'hyperVGeneration',
    'creationData',
    'diskSizeGB',
    'incremental',
    'publicNetworkAccess',
    'networkAccessPolicy',
  ];
  const kept = Object.fromEntries(Object.entries(properties).filter(([name]) => shown.includes(name)));
  return {
    location,
    ...(tags ? { tags } : {}),
    ...(zones ? { zones } : {}),
    sku: { name: sku.name },
    properties: { ...kept, provisioningState: 'Updating', isArmResource: true },
  };
}
