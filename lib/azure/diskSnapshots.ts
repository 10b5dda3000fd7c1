import type { CallOptions } from './connection.ts';
import type { DiskGrants } from './grants.ts';
import type { SnapshotInfo, SnapshotRequest, SnapshotScope } from './snapshots.ts';
import { Snapshots } from './snapshots.ts';
import { checkTags, type Tags } from './tags.ts';

/**
 * Snapshots of the disks of machines, and read access to them: what the steps of sessions ask, whatever a disk is made of. Two
 * adapters, by the disk's id: managed disks (ARM ids) and page blobs of a storage account (URLs). One conformance suite.
 *
 * Ids are opaque to callers: `idOf` makes them before the snapshot exists, so that an intent can name it; they may be kept in
 * tables and manifests, and hold nothing secret. Every call may be made twice.
 */
export interface DiskSnapshots {
  /** The id that a request's snapshot has. */
  idOf(request: Pick<SnapshotRequest, 'subscriptionId' | 'resourceGroup' | 'name' | 'sourceDiskId'>): string;
  /** `tagLimit` when the snapshot of this disk could not carry these tags, before anything is made. */
  checkTags(sourceDiskId: string, tags: Tags, target: string): void;
  /** Starts to take a snapshot. Ask for it by `find` first. `tagLimit`, `quotaExceeded`, `throttled`, `snapshotFailed`. */
  startCreate(request: SnapshotRequest, options?: CallOptions): Promise<void>;
  /** Null when there is no such snapshot. */
  find(id: string, options?: CallOptions): Promise<SnapshotInfo | null>;
  /** The snapshots of a scope. Page blobs: those that machines of the scope use as disks now, and those that it names. */
  list(scope: SnapshotScope, options?: CallOptions): AsyncIterable<SnapshotInfo>;
  /** Starts to delete; a missing snapshot is done. Never the disk. */
  startRemove(id: string, options?: CallOptions): Promise<void>;
  /** Starts to replace all tags. `unsupported` for a page blob: what its snapshots say is said once. */
  startReplaceTags(id: string, tags: Tags, options?: CallOptions): Promise<void>;
  /** A SAS URL that reads the snapshot, for `seconds` at most. A secret: in memory only. */
  grantRead(id: string, seconds: number, options?: CallOptions): Promise<string>;
  /** Ends the access. Of a page blob it cannot be ended: its SAS is over within the hour. */
  endRead(id: string, options?: CallOptions): Promise<void>;
}

/** Snapshots of managed disks. */
export function managedSnapshots(
  snapshots: Pick<Snapshots, 'startCreate' | 'find' | 'list' | 'startRemove' | 'startReplaceTags'>,
  grants: Pick<DiskGrants, 'grantAccess' | 'revokeAccess'>,
): DiskSnapshots {
  return {
    idOf: (request) => Snapshots.idOf(request),
    checkTags: (_, tags, target) => checkTags(tags, target),
    startCreate: async (request, options) => {
      await snapshots.startCreate(request, options);
    },
    find: (id, options) => snapshots.find(id, options),
    list: (scope, options) => snapshots.list(scope, options),
    startRemove: async (id, options) => {
      await snapshots.startRemove(id, options);
    },
    startReplaceTags: async (id, tags, options) => {
      await snapshots.startReplaceTags(id, tags, options);
    },
    grantRead: (id, seconds, options) => grants.grantAccess(id, 'Read', seconds, options),
    endRead: (id, options) => grants.revokeAccess(id, options),
  };
}

/** Ids of page blobs and of their snapshots are URLs; ARM's begin with a slash. */
const isUrl = (id: string): boolean => id.startsWith('https:');

/** Both kinds behind one port: each call goes to the adapter of its id. */
export function allSnapshots(managed: DiskSnapshots, unmanaged: DiskSnapshots): DiskSnapshots {
  const of = (id: string): DiskSnapshots => (isUrl(id) ? unmanaged : managed);
  return {
    idOf: (request) => of(request.sourceDiskId).idOf(request),
    checkTags: (source, tags, target) => of(source).checkTags(source, tags, target),
    startCreate: (request, options) => of(request.sourceDiskId).startCreate(request, options),
    find: (id, options) => of(id).find(id, options),
    async *list(scope, options) {
      yield* managed.list(scope, options);
      yield* unmanaged.list(scope, options);
    },
    startRemove: (id, options) => of(id).startRemove(id, options),
    startReplaceTags: (id, tags, options) => of(id).startReplaceTags(id, tags, options),
    grantRead: (id, seconds, options) => of(id).grantRead(id, seconds, options),
    endRead: (id, options) => of(id).endRead(id, options),
  };
}
