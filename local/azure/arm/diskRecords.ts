/** Managed disks and snapshots as the resource manager knows them; their bytes are in the disk store under `uniqueId`. */
import type { SimulatorClock } from '../clock.ts';
import type { DiskStore } from '../disks/types.ts';
import { resourceNotFound } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';
import { resourceId, sameId } from './ids.ts';
import type { Tags } from './tags.ts';

export type ProvisioningState = 'Creating' | 'Updating' | 'Deleting' | 'Succeeded' | 'Failed';

export interface Grant {
  access: 'Read' | 'Write';
  /** The stored policy of the data plane. */
  si: string;
  /** Epoch milliseconds. */
  expiresAt: number;
}

interface Common {
  id: string;
  subscription: string;
  group: string;
  name: string;
  location: string;
  tags: Tags;
  sku: string;
  osType?: string;
  hyperVGeneration?: string;
  /** Properties that are kept and shown as given (encryption, network access policy, security profile, ...). */
  echoed: Record<string, unknown>;
  /** Key in the disk store. */
  uniqueId: string;
  sizeBytes: number;
  /** Epoch milliseconds. */
  timeCreated: number;
  provisioningState: ProvisioningState;
  grant?: Grant;
}

export interface DiskRecord extends Common {
  kind: 'disk';
  zones?: string[];
  creation: {
    createOption: 'Empty' | 'Copy' | 'Upload' | 'FromImage';
    sourceResourceId?: string;
    sourceUniqueId?: string;
    uploadSizeBytes?: number;
    imageReference?: unknown;
    logicalSectorSize?: number;
  };
  /** Until the revoke after an upload. */
  uploading: boolean;
  /** Id of the machine that it is attached to. */
  managedBy?: string;
  /** Made with the first incremental snapshot. */
  familyId?: string;
  /** Incremental snapshots made, ever: gives each its own timestamp. */
  snapshotOrdinal: number;
  /** Epoch milliseconds of the incremental snapshots of the last five minutes. */
  recentSnapshots: number[];
}

export interface SnapshotRecord extends Common {
  kind: 'snapshot';
  incremental: boolean;
  sourceResourceId: string;
  sourceUniqueId: string;
  /** Of a disk restore point: the id of its restore point. It is no snapshot to whoever lists those. */
  restorePoint?: string;
  familyId?: string;
  /** The `snapshot=` of its SAS. */
  snapshotTime: string;
  /** Of an Ultra or Premium SSD v2 disk: its data are copied until then, and cannot be read before. Epoch milliseconds. */
  copiedAt?: number;
}

export type DiskLike = DiskRecord | SnapshotRecord;

export const DISKS = 'Microsoft.Compute/disks';
export const SNAPSHOTS = 'Microsoft.Compute/snapshots';

export class DiskRecords {
  readonly disks: Collection<DiskRecord>;
  readonly snapshots: Collection<SnapshotRecord>;
  readonly store: DiskStore;
  private readonly clock: SimulatorClock;
  private removals: Promise<unknown> = Promise.resolve();

  constructor(state: StateStore, store: DiskStore, clock: SimulatorClock) {
    this.disks = state.collection('disks');
    this.snapshots = state.collection('snapshots');
    this.store = store;
    this.clock = clock;
  }

  /** What a crash between store and state left: contents without a record. `others` belong to page blobs. To be called once, before the first request. */
  sweepOrphans(others: string[]): void {
    const known = new Set([
      ...[...this.disks.values(), ...this.snapshots.values()].map((record) => record.uniqueId),
      ...others,
    ]);
    for (const id of this.store.list()) if (!known.has(id)) this.removeContent(id);
  }

  disk(subscription: string, group: string, name: string): DiskRecord {
    const record = this.disks.get(resourceId(subscription, group, DISKS, name));
    if (!record) throw resourceNotFound(`${DISKS}/${name}`, group);
    return record;
  }

  snapshot(subscription: string, group: string, name: string): SnapshotRecord {
    const record = this.snapshots.get(resourceId(subscription, group, SNAPSHOTS, name));
    if (!record) throw resourceNotFound(`${SNAPSHOTS}/${name}`, group);
    return record;
  }

  get(id: string): DiskLike | undefined {
    return this.disks.get(id) ?? this.snapshots.get(id);
  }

  save(record: DiskLike): void {
    if (record.kind === 'disk') this.disks.set(record.id, record);
    else this.snapshots.set(record.id, record);
  }

  /** Forgets the record; the content goes afterwards. */
  remove(record: DiskLike): void {
    if (record.kind === 'disk') this.disks.delete(record.id);
    else this.snapshots.delete(record.id);
    this.removeContent(record.uniqueId);
  }

  /** How much of a snapshot's background copy is done; undefined for one that has none. */
  completionPercent({ copiedAt, timeCreated }: SnapshotRecord): number | undefined {
    if (copiedAt === undefined) return undefined;
    const now = this.clock.now().getTime();
    if (now >= copiedAt) return 100;
    return Math.floor((100 * (now - timeCreated)) / (copiedAt - timeCreated));
  }

  /** The grant that is neither revoked nor over. */
  activeGrant(record: DiskLike): Grant | undefined {
    return record.grant && record.grant.expiresAt > this.clock.now().getTime() ? record.grant : undefined;
  }

  /** Alive incremental snapshots of a disk. */
  incrementalsOf(sourceUniqueId: string): SnapshotRecord[] {
    return this.snapshots.filter((known) => known.incremental && known.sourceUniqueId === sourceUniqueId);
  }

  family(familyId: string): SnapshotRecord[] {
    return this.snapshots.filter((known) => known.familyId === familyId);
  }

  attachedTo(machineId: string): DiskRecord[] {
    return this.disks.filter((known) => known.managedBy !== undefined && sameId(known.managedBy, machineId));
  }

  /** Resolves when the contents of removed disks are gone. */
  async settled(): Promise<void> {
    await this.removals;
  }

  private removeContent(id: string): void {
    this.removals = this.removals
      .then(() => this.store.delete(id))
      .catch((error: unknown) => {
        if ((error as { code?: string }).code !== 'notFound')
          console.error(`Content ${id} could not be removed; the next start tries again.`, error);
      });
  }
}

export const gibibytes = (bytes: number) => Math.ceil(bytes / 2 ** 30);
