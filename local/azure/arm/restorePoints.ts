/**
 * VM restore points: collections, restore points (all disks at one moment), and access to their disk restore points. A disk
 * restore point is a record beside the snapshots, with an id of its own. Differences between them are not documented by Azure,
 * and are refused here.
 */
import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { azureTime, type SimulatorClock } from '../clock.ts';
import { ArmError, invalidParameter, notAllowed, resourceNotFound } from '../errors.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { Collection, StateStore } from '../state.ts';
import type { ArmApp, ArmRequest } from './app.ts';
import { checkName, parseBody } from './body.ts';
import { type DiskRecord, type DiskRecords, gibibytes, type SnapshotRecord } from './diskRecords.ts';
import type { Grants } from './grants.ts';
import { referredId, resourceId, sameId } from './ids.ts';
import { allDisks, MACHINES, type MachineRecord, type MachineRecords } from './machineRecords.ts';
import type { Sizes } from './sizes.ts';
import { checkTags } from './tags.ts';

interface CollectionRecord {
  id: string;
  subscription: string;
  group: string;
  name: string;
  location: string;
  tags: Record<string, string>;
  machineId: string;
}

interface PointRecord {
  id: string;
  collectionId: string;
  name: string;
  consistencyMode: 'CrashConsistent' | 'FileSystemConsistent' | 'ApplicationConsistent';
  excluded: string[];
  timeCreated: number;
  provisioningState: 'Creating' | 'Succeeded' | 'Failed' | 'Deleting';
  sourceMetadata: object;
  /** Ids of the disk restore points. */
  disks: string[];
}

export interface RestorePointServices {
  app: ArmApp;
  state: StateStore;
  machines: MachineRecords;
  disks: DiskRecords;
  grants: Grants;
  sizes: Sizes;
  clock: SimulatorClock;
  limits: SimulatorSettings['limits'];
  agentPresent: (machineId: string) => boolean;
}

const COLLECTIONS = 'Microsoft.Compute/restorePointCollections';
const GROUP = '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Compute/restorePointCollections';
const POINT = `${GROUP}/{c}/restorePoints/{p}`;
const DISK = `${POINT}/diskRestorePoints/{d}`;

const collectionBody = z.looseObject({
  location: z.string(),
  tags: z.record(z.string(), z.string()).optional(),
  properties: z.looseObject({ source: z.looseObject({ id: z.string() }) }),
});
const pointBody = z.looseObject({
  properties: z
    .looseObject({
      excludeDisks: z.array(z.looseObject({ id: z.string() })).optional(),
      consistencyMode: z.string().optional(),
    })
    .optional(),
});

class RestorePointRecords {
  readonly collections: Collection<CollectionRecord>;
  readonly points: Collection<PointRecord>;
  /** When the last one of each mode was made, by machine: removing it does not make room for the next. */
  readonly last: Collection<{ at: number }>;

  constructor(state: StateStore) {
    this.last = state.collection('restorePointTimes');
    this.collections = state.collection('restorePointCollections');
    this.points = state.collection('restorePoints');
  }

  collection({ params: { s, g, c } }: ArmRequest): CollectionRecord {
    const record = this.collections.get(resourceId(s as string, g as string, COLLECTIONS, c as string));
    if (!record) throw resourceNotFound(`${COLLECTIONS}/${c}`, g as string);
    return record;
  }

  point(request: ArmRequest): PointRecord {
    const { id } = this.collection(request);
    const record = this.points.get(`${id}/restorePoints/${request.params.p}`);
    if (!record)
      throw resourceNotFound(
        `${COLLECTIONS}/restorePoints/${request.params.c}/${request.params.p}`,
        request.params.g as string,
      );
    return record;
  }

  pointsOf(collectionId: string): PointRecord[] {
    return this.points.filter((point) => point.collectionId === collectionId);
  }
}

export function restorePointRoutes(services: RestorePointServices): void {
  const { app, state, disks, machines, grants, limits } = services;
  const { operations } = app.core;
  const records = new RestorePointRecords(state);
  const forget = (point: PointRecord): void => {
    for (const id of point.disks) {
      const disk = disks.get(id);
      if (disk) disks.remove(disk);
    }
    records.points.delete(point.id);
  };
  operations.register('restorePoint.made', ({ target, outcome }) => {
    const point = records.points.get(target);
    if (!point) return;
    point.provisioningState = outcome.status === 'Succeeded' ? 'Succeeded' : 'Failed';
    records.points.set(point.id, point);
  });
  operations.register('restorePoint.deleted', ({ target, outcome }) => {
    const point = records.points.get(target);
    if (point && outcome.status === 'Succeeded') forget(point);
  });
  operations.register('restorePointCollection.deleted', ({ target, outcome }) => {
    if (outcome.status !== 'Succeeded') return;
    for (const point of records.pointsOf(target)) forget(point);
    records.collections.delete(target);
  });
  const operation = (record: { id: string; location: string }, finisher: string) =>
    ({ service: 'compute', location: record.location, target: record.id, finisher }) as const;

  const read = { action: `${COLLECTIONS}/read` } as const;
  const viewOf = (record: CollectionRecord, request: ArmRequest) =>
    collectionView(
      record,
      request.query.get('$expand') === 'restorePoints' ? records.pointsOf(record.id) : null,
    );
  app.route('GET', GROUP, { ...read, list: true }, (request) => {
    const { s, g } = request.params as { s: string; g: string };
    const mine = records.collections.filter((one) => sameId(one.subscription, s) && sameId(one.group, g));
    return app.listReply(
      request,
      read.action,
      mine.map((one) => collectionView(one, null)),
    );
  });
  app.route('GET', `${GROUP}/{c}`, read, (request) => ({
    status: 200,
    body: viewOf(records.collection(request), request),
  }));
  app.route('PUT', `${GROUP}/{c}`, { action: `${COLLECTIONS}/write` }, (request) => {
    const { s, g, c } = request.params as { s: string; g: string; c: string };
    checkName(c, 'restorePointCollectionName');
    const body = parseBody(collectionBody, request.body);
    checkTags(body.tags, limits.tags);
    const source = referredId(body.properties.source.id, MACHINES, 'properties.source.id');
    const machine = machines.require(source.subscription, source.group, source.name);
    if (!sameId(machine.location, body.location))
      throw invalidParameter('location', 'A restore point collection is made in the region of its VM.');
    const id = resourceId(s, g, COLLECTIONS, c);
    const known = records.collections.get(id);
    if (known && !sameId(known.machineId, machine.id))
      throw invalidParameter('source.id', 'The source of a restore point collection cannot be changed.');
    const record: CollectionRecord = {
      id,
      subscription: s,
      group: g,
      name: c,
      location: machine.location,
      tags: body.tags ?? {},
      machineId: machine.id,
    };
    records.collections.set(id, record);
    return { status: known ? 200 : 201, body: viewOf(record, request) };
  });
  app.route('DELETE', `${GROUP}/{c}`, { action: `${COLLECTIONS}/delete` }, (request) => {
    const { s, g, c } = request.params as { s: string; g: string; c: string };
    const record = records.collections.get(resourceId(s, g, COLLECTIONS, c));
    if (!record) return { status: 204 };
    for (const point of records.pointsOf(record.id)) refuseGranted(disks, point);
    return app.startOperation(request, operation(record, 'restorePointCollection.deleted'), {
      status: 202,
      monitor: true,
    }).reply;
  });

  const readPoint = { action: `${COLLECTIONS}/restorePoints/read` } as const;
  app.route('GET', POINT, readPoint, (request) => ({ status: 200, body: pointView(records.point(request)) }));
  app.route('PUT', POINT, { action: `${COLLECTIONS}/restorePoints/write` }, async (request) => {
    const collection = records.collection(request);
    const name = request.params.p as string;
    checkName(name, 'restorePointName');
    const body = parseBody(pointBody, request.body).properties ?? {};
    const id = `${collection.id}/restorePoints/${name}`;
    if (records.points.get(id))
      throw new ArmError(
        409,
        'PropertyChangeNotAllowed',
        'Updating an existing restore point is not allowed.',
      );
    const machine = machines.get(collection.machineId);
    if (!machine)
      throw resourceNotFound(`${MACHINES}/${collection.machineId.split('/').at(-1)}`, collection.group);
    const mode = modeOf(machine, body.consistencyMode);
    const excluded = (body.excludeDisks ?? []).map((disk) => disk.id.toLowerCase());
    const included = allDisks(machine)
      .map(({ diskId }) => disks.disks.get(diskId))
      .filter((disk): disk is DiskRecord => disk !== undefined && !excluded.includes(disk.id.toLowerCase()));
    checkMachine(services, records, machine, included, mode);
    const point = await take(services, collection, machine, { id, name, mode, excluded, included });
    records.points.set(id, point);
    records.last.set(`${machine.id}/${mode === 'CrashConsistent'}`, { at: point.timeCreated });
    const silent = mode === 'ApplicationConsistent' && !services.agentPresent(machine.id);
    const order = {
      ...operation({ id, location: collection.location }, 'restorePoint.made'),
      ...(silent ? { outcome: { status: 'Failed', error: agentSilent(machine) } as const } : {}),
    };
    return app.startOperation(request, order, { status: 201, monitor: false, body: pointView(point) }).reply;
  });
  app.route('DELETE', POINT, { action: `${COLLECTIONS}/restorePoints/delete` }, (request) => {
    const collection = records.collection(request);
    const point = records.points.get(`${collection.id}/restorePoints/${request.params.p}`);
    if (!point) return { status: 204 };
    refuseGranted(disks, point);
    return app.startOperation(
      request,
      operation({ id: point.id, location: collection.location }, 'restorePoint.deleted'),
      { status: 202, monitor: true },
    ).reply;
  });

  const action = `${COLLECTIONS}/restorePoints/diskRestorePoints`;
  const diskOf = (request: ArmRequest): SnapshotRecord => {
    const point = records.point(request);
    const record = disks.snapshots.get(`${point.id}/diskRestorePoints/${request.params.d}`);
    if (!record) throw resourceNotFound(`${action}/${request.params.d}`, request.params.g as string);
    return record;
  };
  app.route('GET', DISK, { action: `${action}/read` }, (request) => ({
    status: 200,
    body: diskPointView(diskOf(request)),
  }));
  const hydrate = 'snapshotCreateHydrate' as const;
  for (const verb of ['beginGetAccess', 'endGetAccess'] as const) {
    app.route(
      'POST',
      `${DISK}/${verb}`,
      { action: `${action}/${verb}/action`, throttle: hydrate },
      (request) =>
        verb === 'beginGetAccess'
          ? grants.begin(request, diskOf(request))
          : grants.end(request, diskOf(request)),
    );
  }
}

const agentSilent = ({ name }: MachineRecord) => ({
  code: 'VMAgentStatusCommunicationError',
  message: `VM '${name}' has not reported status for VM agent or extensions.`,
});

/** Without a mode, Azure asks the guest: the writers of Windows, the file systems of Linux. Only the crash mode can be asked for by name. */
function modeOf(machine: MachineRecord, asked: string | undefined): PointRecord['consistencyMode'] {
  if (asked !== undefined && asked !== 'CrashConsistent')
    throw invalidParameter(
      'consistencyMode',
      `The value '${asked}' is not supported: only CrashConsistent is.`,
    );
  if (asked !== undefined) return 'CrashConsistent';
  return machine.osDisk.osType === 'Windows' ? 'ApplicationConsistent' : 'FileSystemConsistent';
}

/** The limits are documented; the texts of their errors are not: the words are ours. */
function checkMachine(
  { sizes, clock, limits }: RestorePointServices,
  records: RestorePointRecords,
  machine: MachineRecord,
  included: readonly DiskRecord[],
  mode: PointRecord['consistencyMode'],
): void {
  const crash = mode === 'CrashConsistent';
  for (const disk of included) {
    const { maxShares = 1 } = disk.echoed as { maxShares?: number };
    if (maxShares > 1)
      throw notAllowed(`Restore points do not support shared disk ${disk.name}. Exclude it.`);
    if (crash && /^(UltraSSD|PremiumV2)_/.test(disk.sku))
      throw notAllowed(
        `Crash consistent restore points do not support disk ${disk.name} of type ${disk.sku}. Exclude it.`,
      );
  }
  if (machine.osDisk.ephemeral)
    throw notAllowed('Restore points do not support ephemeral OS disks. Exclude it.');
  if (crash && sizes.isPremium(machine.size) === false)
    throw notAllowed(
      `Crash consistent restore points are not supported for VM size ${machine.size}: it has no premium storage.`,
    );
  const mine = new Set(
    records.collections.filter(({ machineId }) => sameId(machineId, machine.id)).map(({ id }) => id),
  );
  const points = records.points.filter(({ collectionId }) => mine.has(collectionId));
  if (points.some(({ provisioningState }) => provisioningState === 'Creating'))
    throw notAllowed(`Another restore point of VM '${machine.name}' is being created. Try again later.`);
  const minutes = (crash ? 1 : 3) * limits.restorePointMinutes;
  const last = records.last.get(`${machine.id}/${crash}`)?.at ?? Number.NEGATIVE_INFINITY;
  if (clock.now().getTime() - last >= minutes * 60_000) return;
  throw notAllowed(
    `A restore point of VM '${machine.name}' was created less than ${minutes} minutes ago. Try again later.`,
  );
}

async function take(
  { disks, clock }: RestorePointServices,
  collection: CollectionRecord,
  machine: MachineRecord,
  {
    id,
    name,
    mode,
    excluded,
    included,
  }: {
    id: string;
    name: string;
    mode: PointRecord['consistencyMode'];
    excluded: string[];
    included: readonly DiskRecord[];
  },
): Promise<PointRecord> {
  const timeCreated = clock.now().getTime();
  const made = included.map((disk) => ({ disk, content: randomUUID() }));
  // All in one go: what a guest writes from now on comes after all of them.
  await Promise.all(made.map(({ disk, content }) => disks.store.snapshot(disk.uniqueId, content)));
  const ids = new Map<string, string>();
  for (const { disk, content } of made) {
    const diskName = `${disk.name}_${randomUUID()}`;
    const record: SnapshotRecord = {
      kind: 'snapshot',
      id: `${id}/diskRestorePoints/${diskName}`,
      subscription: collection.subscription,
      group: collection.group,
      name: diskName,
      location: disk.location,
      tags: {},
      sku: 'Standard_LRS',
      ...(disk.osType === undefined ? {} : { osType: disk.osType }),
      echoed: {},
      uniqueId: content,
      sizeBytes: disk.sizeBytes,
      timeCreated,
      provisioningState: 'Succeeded',
      incremental: false,
      restorePoint: id,
      sourceResourceId: disk.id,
      sourceUniqueId: disk.uniqueId,
      snapshotTime: '',
    };
    disks.save(record);
    ids.set(disk.id.toLowerCase(), record.id);
  }
  return {
    id,
    collectionId: collection.id,
    name,
    consistencyMode: mode,
    excluded,
    timeCreated,
    provisioningState: 'Creating',
    sourceMetadata: metadataOf(machine, disks, ids),
    disks: [...ids.values()],
  };
}

function metadataOf(machine: MachineRecord, disks: DiskRecords, ids: ReadonlyMap<string, string>): object {
  const shown = (attached: { name: string; diskId: string; caching: string }) => {
    const disk = disks.disks.get(attached.diskId);
    const point = ids.get(attached.diskId.toLowerCase());
    return {
      name: attached.name,
      caching: attached.caching,
      ...(disk ? { diskSizeGB: gibibytes(disk.sizeBytes) } : {}),
      managedDisk: { id: attached.diskId, ...(disk ? { storageAccountType: disk.sku } : {}) },
      ...(point === undefined ? {} : { diskRestorePoint: { id: point } }),
    };
  };
  return {
    hardwareProfile: { vmSize: machine.size },
    storageProfile: {
      osDisk: { osType: machine.osDisk.osType, ...shown(machine.osDisk) },
      dataDisks: machine.dataDisks.map((disk) => ({ lun: disk.lun, ...shown(disk) })),
    },
    vmId: machine.vmId,
    location: machine.location,
  };
}

function refuseGranted(disks: DiskRecords, point: PointRecord): void {
  const granted = point.disks.some((id) => {
    const disk = disks.get(id);
    return disk !== undefined && disks.activeGrant(disk) !== undefined;
  });
  if (granted)
    throw new ArmError(
      409,
      'DiskRestorePointUsedByCustomer',
      'There is an active shared access signature outstanding for disk restore point. Call EndGetAccess before deleting the restore point.',
    );
}

const collectionView = (record: CollectionRecord, points: readonly PointRecord[] | null) => ({
  name: record.name,
  id: record.id,
  type: COLLECTIONS,
  location: record.location,
  tags: record.tags,
  properties: {
    source: { id: record.machineId, location: record.location },
    provisioningState: 'Succeeded',
    ...(points ? { restorePoints: points.map(pointView) } : {}),
  },
});

const pointView = (point: PointRecord) => ({
  name: point.name,
  id: point.id,
  type: `${COLLECTIONS}/restorePoints`,
  properties: {
    ...(point.excluded.length > 0 ? { excludeDisks: point.excluded.map((id) => ({ id })) } : {}),
    sourceMetadata: point.sourceMetadata,
    provisioningState: point.provisioningState,
    consistencyMode: point.consistencyMode,
    timeCreated: azureTime(new Date(point.timeCreated)),
  },
});

const diskPointView = (record: SnapshotRecord) => ({
  name: record.name,
  id: record.id,
  type: `${COLLECTIONS}/restorePoints/diskRestorePoints`,
  properties: {
    timeCreated: azureTime(new Date(record.timeCreated)),
    sourceResourceId: record.sourceResourceId,
    sourceUniqueId: record.sourceUniqueId,
    familyId: record.uniqueId,
    encryption: { type: 'EncryptionAtRestWithPlatformKey' },
    networkAccessPolicy: 'AllowAll',
    publicNetworkAccess: 'Enabled',
  },
});
