import type { RestorePoint } from '@azure/arm-compute';
import { armId, HoldfastError, isHoldfastError, parseArmId } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import type { DiskSnapshots } from './diskSnapshots.ts';
import { readSas } from './grants.ts';
import {
  type Operation,
  type OperationState,
  pollOperation,
  startOperation,
  submit,
  waitForOperation,
} from './operations.ts';
import type { Tags } from './tags.ts';
import { must } from './wire.ts';

export interface RestorePointRequest {
  readonly machineId: string;
  readonly location: string;
  /** ARM id of the collection; made if it is not there. */
  readonly collectionId: string;
  /** `crash`: no guest is asked. `application`: Azure asks the guest, VSS on Windows, the file systems on Linux. */
  readonly mode: 'crash' | 'application';
  /** ARM ids of the disks that are left out. */
  readonly excludeDisks: readonly string[];
  readonly tags: Tags;
}

/** A restore point that Azure has made: all its disks show one moment. */
export interface RestorePointInfo {
  readonly state: 'making' | 'made' | 'failed';
  /** What Azure made: `file system` and `application` both mean that the guest was asked. */
  readonly consistency: 'crash' | 'application';
  /** ISO 8601, UTC; null until Azure has set it. */
  readonly timeCreated: string | null;
  readonly disks: readonly {
    readonly sourceDiskId: string;
    /** ARM id of the disk restore point. */
    readonly id: string;
    /** Of the disk at that moment, rounded up by Azure to whole GiB. */
    readonly sizeGib: number | null;
  }[];
}

export interface DiskRestorePointInfo {
  readonly id: string;
  readonly sourceUniqueId: string | null;
  readonly timeCreated: string | null;
}

const COLLECTIONS = 'Microsoft.Compute/restorePointCollections';
/** The name of the one restore point in a collection. */
const POINT = 'all-disks';
const WAIT_SECONDS = 40;
const SHAPE =
  /^(\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Compute\/restorePointCollections\/[^/]+)\/restorePoints\/([^/]+)\/diskRestorePoints\/([^/]+)$/i;

/** Whether an id is that of a disk restore point. */
export const isDiskRestorePoint = (id: string): boolean => SHAPE.test(id);

/**
 * VM restore points, one in a collection of its own, so that removing the collection removes everything. Azure's limits: one at
 * a time, crash consistent ones an hour apart, application consistent ones three; no Ultra or Premium SSD v2 disks in crash mode,
 * no shared and no ephemeral disks.
 */
export class RestorePoints {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  static collectionIdOf(subscriptionId: string, resourceGroup: string, name: string): string {
    return armId(subscriptionId, resourceGroup, COLLECTIONS, name);
  }

  /**
   * Makes the collection, and starts the restore point. Ask for it by `find` first: Azure refuses to make it anew. What the machine
   * cannot do is `conflict` or `invalidInput`.
   */
  async start(request: RestorePointRequest, options?: CallOptions): Promise<Operation> {
    const { subscriptionId, resourceGroup, name } = parseArmId(request.collectionId);
    const client = this.#connection.compute(subscriptionId);
    await client.restorePointCollections.createOrUpdate(
      resourceGroup,
      name,
      { location: request.location, tags: { ...request.tags }, source: { id: request.machineId } },
      this.#connection.call(options),
    );
    const point: RestorePoint = {
      ...(request.excludeDisks.length > 0
        ? { excludeDisks: request.excludeDisks.map((id) => ({ id })) }
        : {}),
      ...(request.mode === 'crash' ? { consistencyMode: 'CrashConsistent' } : {}),
    };
    return startOperation(
      this.#connection,
      {
        what: `take restore point of machine "${parseArmId(request.machineId).name}"`,
        resourceId: request.collectionId,
        otherwise: 'snapshotFailed',
      },
      (call) => client.restorePoints.create(resourceGroup, name, POINT, point, call),
      options,
    );
  }

  poll(operation: Operation, options?: CallOptions): Promise<OperationState> {
    return pollOperation(this.#connection, operation, options);
  }

  /** Null when it was not made. */
  async find(collectionId: string, options?: CallOptions): Promise<RestorePointInfo | null> {
    const { subscriptionId, resourceGroup, name } = parseArmId(collectionId);
    const { restorePoints } = this.#connection.compute(subscriptionId);
    return orNull(async () =>
      toInfo(await restorePoints.get(resourceGroup, name, POINT, this.#connection.call(options))),
    );
  }

  async findDisk(id: string, options?: CallOptions): Promise<DiskRestorePointInfo | null> {
    const { operations, path } = this.#disk(id);
    return orNull(async () => {
      const { sourceUniqueId, timeCreated } = await operations.get(...path, this.#connection.call(options));
      return { id, sourceUniqueId: sourceUniqueId ?? null, timeCreated: timeCreated?.toISOString() ?? null };
    });
  }

  /** Whether the collection is there. */
  async exists(collectionId: string, options?: CallOptions): Promise<boolean> {
    const { subscriptionId, resourceGroup, name } = parseArmId(collectionId);
    const { restorePointCollections } = this.#connection.compute(subscriptionId);
    const call = this.#connection.call(options);
    return (await orNull(() => restorePointCollections.get(resourceGroup, name, call))) !== null;
  }

  /** Starts to delete a collection with what is in it; a missing one is done. End the access to its disks first. */
  async startRemove(collectionId: string, options?: CallOptions): Promise<void> {
    const { subscriptionId, resourceGroup, name } = parseArmId(collectionId);
    const client = this.#connection.compute(subscriptionId);
    await startOperation(
      this.#connection,
      { what: `delete restore point collection "${name}"`, resourceId: collectionId, goneIsDone: true },
      (call) => client.restorePointCollections.delete(resourceGroup, name, call),
      options,
    );
  }

  /** As `DiskGrants.grantAccess`, of a disk restore point. */
  async grantRead(id: string, durationInSeconds: number, options?: CallOptions): Promise<string> {
    const { operations, path } = this.#disk(id);
    const { operation, body } = await submit(
      this.#connection,
      { what: `grant Read access to disk restore point "${path[3]}"`, resourceId: id },
      (call) => operations.grantAccess(...path, { access: 'Read', durationInSeconds }, call),
      options,
    );
    const answer =
      operation.via === 'none'
        ? body
        : await waitForOperation(this.#connection, operation, WAIT_SECONDS, options);
    const sas = readSas(answer);
    if (sas !== undefined) return sas;
    throw new HoldfastError('internal', `${operation.what}: Azure granted it without a URL.`, { target: id });
  }

  async endRead(id: string, options?: CallOptions): Promise<void> {
    const { operations, path } = this.#disk(id);
    try {
      const { operation } = await submit(
        this.#connection,
        { what: `revoke access to disk restore point "${path[3]}"`, resourceId: id, goneIsDone: true },
        (call) => operations.revokeAccess(...path, call),
        options,
      );
      await waitForOperation(this.#connection, operation, WAIT_SECONDS, options);
    } catch (error) {
      if (!isHoldfastError(error, 'notFound')) throw error;
    }
  }

  #disk(id: string) {
    const [, collection = '', point = '', disk = ''] = SHAPE.exec(id) ?? [];
    const { subscriptionId, resourceGroup, name } = parseArmId(collection);
    const operations = this.#connection.compute(subscriptionId).diskRestorePoint;
    return { operations, path: [resourceGroup, name, point, disk] as const };
  }
}

/**
 * Snapshots, and the reading of disk restore points beside them. A disk restore point is never found here as a snapshot: it is
 * no base of a difference, and goes with its collection.
 */
export function withRestorePoints(snapshots: DiskSnapshots, points: RestorePoints): DiskSnapshots {
  return {
    ...snapshots,
    find: (id, options) => (isDiskRestorePoint(id) ? Promise.resolve(null) : snapshots.find(id, options)),
    grantRead: (id, seconds, options) =>
      isDiskRestorePoint(id)
        ? points.grantRead(id, seconds, options)
        : snapshots.grantRead(id, seconds, options),
    endRead: (id, options) =>
      isDiskRestorePoint(id) ? points.endRead(id, options) : snapshots.endRead(id, options),
  };
}

async function orNull<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (isHoldfastError(error, 'notFound')) return null;
    throw error;
  }
}

function toInfo({
  provisioningState = '',
  consistencyMode,
  timeCreated,
  sourceMetadata,
}: RestorePoint): RestorePointInfo {
  const { osDisk, dataDisks = [] } = sourceMetadata?.storageProfile ?? {};
  const disks = [...(osDisk ? [osDisk] : []), ...dataDisks].flatMap(
    ({ managedDisk, diskRestorePoint, diskSizeGB }) =>
      diskRestorePoint?.id === undefined
        ? []
        : [
            {
              sourceDiskId: must(managedDisk?.id, 'managedDisk.id', diskRestorePoint.id),
              id: diskRestorePoint.id,
              sizeGib: diskSizeGB ?? null,
            },
          ],
  );
  return {
    state: /^succeeded$/i.test(provisioningState)
      ? 'made'
      : /^failed$/i.test(provisioningState)
        ? 'failed'
        : 'making',
    consistency: consistencyMode === 'CrashConsistent' ? 'crash' : 'application',
    timeCreated: timeCreated?.toISOString() ?? null,
    disks,
  };
}
