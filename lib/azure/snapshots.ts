import type { Snapshot } from '@azure/arm-compute';
import { armId, isHoldfastError, parseArmId } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { type Operation, startOperation } from './operations.ts';
import { checkTags, hasTag, type Tags } from './tags.ts';
import { must } from './wire.ts';

export interface SnapshotRequest {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Derived from the session, so that a second call finds the first one's snapshot. At most 80 characters. */
  readonly name: string;
  readonly location: string;
  /** ARM id of the managed disk; in the same subscription. */
  readonly sourceDiskId: string;
  readonly tags: Tags;
  /** Default: Azure's, which is that of the disk's previous snapshot. */
  readonly sku?: 'Standard_LRS' | 'Standard_ZRS';
}

export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly location: string;
  /** `Standard_LRS`, `Standard_ZRS`, ...; null when Azure does not say. */
  readonly sku: string | null;
  /** ISO 8601, UTC; null until Azure has set it. */
  readonly timeCreated: string | null;
  readonly incremental: boolean;
  readonly sourceDiskId: string | null;
  /** `uniqueId` of the disk it was taken of. */
  readonly sourceUniqueId: string | null;
  /** Differences exist only between snapshots of one family. */
  readonly familyId: string | null;
  /** Size of the disk, without the VHD footer. */
  readonly sizeBytes: number | null;
  /** `Unattached`, `ActiveSAS`, ... */
  readonly diskState: string | null;
  readonly provisioningState: string | null;
  readonly tags: Tags;
  /** True when its bytes can be read by SAS now. */
  readonly downloadable: boolean;
  /** Why not, for a person; null when downloadable. `waiting` tells whether time will help. */
  readonly notDownloadable: { readonly why: string; readonly waiting: boolean } | null;
}

export interface SnapshotScope {
  readonly subscriptionId: string;
  readonly resourceGroup?: string;
  /** Only snapshots with this tag, and this value where one is given. Azure lists without a filter: it is applied here. */
  readonly tag?: { readonly name: string; readonly value?: string };
  /** Unmanaged disks (URLs) to look at beside those that machines of the scope use now: of machines that are gone. */
  readonly pageBlobs?: readonly string[];
}

const TYPE = 'Microsoft.Compute/snapshots';
const ZONE_REDUNDANT = 'Standard_ZRS';
/** What a region offers changes over years. */
const REGION_FACTS_MS = 24 * 3600_000;
const GROUPS_API_VERSION = '2021-04-01';

interface RegionFacts {
  readonly zoneRedundant: Promise<boolean>;
  readonly until: number;
}

/** Incremental snapshots of managed disks. Azure's limits: seven per disk in five minutes, 500 per disk at once. */
export class Snapshots {
  readonly #connection: AzureConnection;
  readonly #regions = new Map<string, RegionFacts>();

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  /** The ARM id that a request's snapshot has. */
  static idOf(request: Pick<SnapshotRequest, 'subscriptionId' | 'resourceGroup' | 'name'>): string {
    return armId(request.subscriptionId, request.resourceGroup, TYPE, request.name);
  }

  /**
   * Starts to take a snapshot. Ask for it by `find` first: a PUT on an existing name would be an update. `tagLimit` before anything is
   * asked; `quotaExceeded` for Azure's limits; a failure later is `snapshotFailed`.
   */
  async startCreate(request: SnapshotRequest, options?: CallOptions): Promise<Operation> {
    checkTags(request.tags, request.name);
    const client = this.#connection.compute(request.subscriptionId);
    const snapshot: Snapshot = {
      location: request.location,
      ...(request.sku === undefined ? {} : { sku: { name: request.sku } }),
      tags: { ...request.tags },
      creationData: { createOption: 'Copy', sourceResourceId: request.sourceDiskId },
      incremental: true,
    };
    return startOperation(
      this.#connection,
      {
        what: `take snapshot "${request.name}"`,
        resourceId: Snapshots.idOf(request),
        otherwise: 'snapshotFailed',
      },
      (call) => client.snapshots.createOrUpdate(request.resourceGroup, request.name, snapshot, call),
      options,
    );
  }

  /** Throws `notFound`. */
  async get(id: string, options?: CallOptions): Promise<SnapshotInfo> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    const client = this.#connection.compute(subscriptionId);
    return toInfo(await client.snapshots.get(resourceGroup, name, this.#connection.call(options)));
  }

  /** Null when there is no such snapshot. */
  async find(id: string, options?: CallOptions): Promise<SnapshotInfo | null> {
    try {
      return await this.get(id, options);
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return null;
      throw error;
    }
  }

  /** Whether a resource group is there to make snapshots in. */
  async groupExists(subscriptionId: string, name: string, options?: CallOptions): Promise<boolean> {
    const { armEndpoint } = this.#connection.cloud;
    const path = `/subscriptions/${subscriptionId}/resourceGroups/${encodeURIComponent(name)}`;
    try {
      await this.#connection.get(`${armEndpoint}${path}?api-version=${GROUPS_API_VERSION}`, options);
      return true;
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return false;
      throw error;
    }
  }

  /**
   * Whether a region keeps zone-redundant snapshots, as its list of SKUs says to this subscription. The list is long, and its
   * answer is remembered for a day.
   */
  canBeZoneRedundant(subscriptionId: string, location: string, options?: CallOptions): Promise<boolean> {
    const key = `${subscriptionId}/${location}`.toLowerCase();
    const now = this.#connection.clock.now().getTime();
    const known = this.#regions.get(key);
    if (known && known.until > now) return known.zoneRedundant;
    const zoneRedundant = this.#offersZones(subscriptionId, location, options);
    this.#regions.set(key, { zoneRedundant, until: now + REGION_FACTS_MS });
    zoneRedundant.catch(() => this.#regions.delete(key));
    return zoneRedundant;
  }

  async #offersZones(subscriptionId: string, location: string, options?: CallOptions): Promise<boolean> {
    const { resourceSkus } = this.#connection.compute(subscriptionId);
    const filter = `location eq '${location}'`;
    let offered = false;
    for await (const sku of resourceSkus.list({ ...this.#connection.call(options), filter })) {
      if (sku.resourceType?.toLowerCase() !== 'snapshots' || sku.name !== ZONE_REDUNDANT) continue;
      const here = (sku.locations ?? []).some((one) => one.toLowerCase() === location.toLowerCase());
      const refused = (sku.restrictions ?? []).some(({ type }) => type === 'Location');
      offered ||= here && !refused;
    }
    return offered;
  }

  /** Streams the incremental snapshots of a scope. A resource group that does not exist has none. */
  async *list(scope: SnapshotScope, options?: CallOptions): AsyncIterable<SnapshotInfo> {
    const { snapshots } = this.#connection.compute(scope.subscriptionId);
    const call = this.#connection.call(options);
    const found =
      scope.resourceGroup === undefined
        ? snapshots.list(call)
        : snapshots.listByResourceGroup(scope.resourceGroup, call);
    try {
      for await (const snapshot of found) {
        if (snapshot.incremental !== true) continue;
        if (scope.tag === undefined || hasTag(snapshot.tags, scope.tag)) yield toInfo(snapshot);
      }
    } catch (error) {
      if (!isHoldfastError(error, 'notFound')) throw error;
    }
  }

  /** Starts to delete; a missing snapshot is done. Revoke access first, and delete no member of a family that is being read. */
  async startRemove(id: string, options?: CallOptions): Promise<Operation> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    const client = this.#connection.compute(subscriptionId);
    return startOperation(
      this.#connection,
      { what: `delete snapshot "${name}"`, resourceId: id, goneIsDone: true },
      (call) => client.snapshots.delete(resourceGroup, name, call),
      options,
    );
  }

  /** Starts to replace all tags of a snapshot by `tags`. `tagLimit` before anything is asked. */
  async startReplaceTags(id: string, tags: Tags, options?: CallOptions): Promise<Operation> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    checkTags(tags, name);
    const client = this.#connection.compute(subscriptionId);
    return startOperation(
      this.#connection,
      { what: `tag snapshot "${name}"`, resourceId: id },
      (call) => client.snapshots.update(resourceGroup, name, { tags: { ...tags } }, call),
      options,
    );
  }
}

function toInfo(snapshot: Snapshot): SnapshotInfo {
  const id = must(snapshot.id, 'id', snapshot.name ?? 'a snapshot');
  const { subscriptionId, resourceGroup, name } = parseArmId(id);
  const notDownloadable = obstacle(snapshot);
  return {
    id,
    name: snapshot.name ?? name,
    subscriptionId,
    resourceGroup,
    location: snapshot.location,
    sku: snapshot.sku?.name ?? null,
    timeCreated: snapshot.timeCreated?.toISOString() ?? null,
    incremental: snapshot.incremental === true,
    sourceDiskId: snapshot.creationData?.sourceResourceId ?? null,
    sourceUniqueId: snapshot.creationData?.sourceUniqueId ?? null,
    familyId: snapshot.incrementalSnapshotFamilyId ?? null,
    sizeBytes: snapshot.diskSizeBytes ?? null,
    diskState: snapshot.diskState ?? null,
    provisioningState: snapshot.provisioningState ?? null,
    tags: snapshot.tags ?? {},
    downloadable: notDownloadable === null,
    notDownloadable,
  };
}

/** What keeps a snapshot's bytes from being read by SAS (azure-platform facts: background copy, instant access, network policy). */
function obstacle(snapshot: Snapshot): SnapshotInfo['notDownloadable'] {
  const { provisioningState, completionPercent, snapshotAccessState } = snapshot;
  if (provisioningState !== undefined && provisioningState !== 'Succeeded') {
    return { why: `it is ${provisioningState}`, waiting: provisioningState !== 'Failed' };
  }
  if (snapshot.copyCompletionError) return { why: 'its copy failed', waiting: false };
  if (snapshotAccessState !== undefined && !/^Available/i.test(snapshotAccessState)) {
    return { why: `its access state is ${snapshotAccessState}`, waiting: true };
  }
  if (completionPercent !== undefined && completionPercent < 100) {
    return { why: `its copy is ${completionPercent} % done`, waiting: true };
  }
  if (snapshot.networkAccessPolicy === 'DenyAll') {
    return { why: 'its network access policy is DenyAll', waiting: false };
  }
  if (snapshot.dataAccessAuthMode === 'AzureActiveDirectory') {
    return { why: 'it asks for an Entra token beside the SAS (dataAccessAuthMode)', waiting: false };
  }
  return null;
}
