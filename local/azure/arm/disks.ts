/** Managed disks: empty, copied, for upload; grown, patched, deleted. (Disks from images and attachments are made by machines.) */
import { randomUUID } from 'node:crypto';
import type { SimulatorClock } from '../clock.ts';
import { ArmError, invalidParameter, notAllowed } from '../errors.ts';
import type { SimulatorSettings } from '../settings.ts';
import type { ArmApp, ArmReply, ArmRequest } from './app.ts';
import { checkName, parseBody } from './body.ts';
import {
  checkGrowth,
  checkSku,
  checkUploadSize,
  type DiskPatch,
  type DiskPut,
  diskBody,
  diskPatch,
  echoedProperties,
} from './diskBodies.ts';
import { DISKS, type DiskLike, type DiskRecord, type DiskRecords, SNAPSHOTS } from './diskRecords.ts';
import { acceptedView, diskState, diskView } from './diskViews.ts';
import type { Grants } from './grants.ts';
import { parseResourceId, resourceId, sameId } from './ids.ts';
import { checkTags } from './tags.ts';

export interface DiskServices {
  app: ArmApp;
  records: DiskRecords;
  grants: Grants;
  clock: SimulatorClock;
  limits: SimulatorSettings['limits'];
  deallocated: (machineId: string) => boolean;
  backgroundCopyMs: () => number;
}

const GROUP = '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Compute/disks';

/** A record with everything that PUT leaves open. The caller makes the content. */
export function newDisk(
  given: Pick<DiskRecord, 'subscription' | 'group' | 'name' | 'location' | 'creation' | 'sizeBytes'> &
    Partial<DiskRecord>,
): DiskRecord {
  return {
    kind: 'disk',
    id: resourceId(given.subscription, given.group, DISKS, given.name),
    tags: {},
    sku: 'Standard_LRS',
    echoed: {},
    uniqueId: randomUUID(),
    timeCreated: 0,
    provisioningState: 'Succeeded',
    uploading: false,
    snapshotOrdinal: 0,
    recentSnapshots: [],
    ...given,
  };
}

export function diskRoutes(services: DiskServices): void {
  const { app, records, grants, deallocated, limits } = services;
  const { operations } = app.core;
  const find = (request: ArmRequest) =>
    records.disk(request.params.s as string, request.params.g as string, request.params.name as string);
  const view = (record: DiskRecord) => diskView(record, diskState(record, records, deallocated));
  const under = (record: DiskRecord, s: string, g?: string) =>
    record.subscription.toLowerCase() === s.toLowerCase() &&
    (g === undefined || record.group.toLowerCase() === g.toLowerCase());

  operations.register(
    'disk.written',
    (operation) => {
      const record = records.disks.get(operation.target);
      if (!record) return;
      record.provisioningState = operation.outcome.status === 'Succeeded' ? 'Succeeded' : 'Failed';
      records.save(record);
    },
    (operation) => {
      const record = records.disks.get(operation.target);
      return record && view(record);
    },
  );
  operations.register('disk.deleted', (operation) => {
    const record = records.disks.get(operation.target);
    if (!record) return;
    if (operation.outcome.status === 'Succeeded') return records.remove(record);
    record.provisioningState = 'Failed';
    records.save(record);
  });

  const listed = (request: ArmRequest) =>
    app.listReply(
      request,
      'Microsoft.Compute/disks/read',
      records.disks.filter((record) => under(record, request.params.s as string, request.params.g)).map(view),
    );
  const read = { action: 'Microsoft.Compute/disks/read', throttle: 'lowCostGet' } as const;
  app.route('GET', '/subscriptions/{s}/providers/Microsoft.Compute/disks', { ...read, list: true }, listed);
  app.route('GET', GROUP, { ...read, list: true }, listed);
  app.route('GET', `${GROUP}/{name}`, read, (request) => ({ status: 200, body: view(find(request)) }));

  const write = { action: 'Microsoft.Compute/disks/write', throttle: 'createUpdateDisks' } as const;
  const accepted = (request: ArmRequest, record: DiskRecord): ArmReply => {
    record.provisioningState = 'Updating';
    records.save(record);
    const order = {
      service: 'disk',
      location: record.location,
      target: record.id,
      finisher: 'disk.written',
    } as const;
    return app.startOperation(request, order, {
      status: 202,
      monitor: true,
      body: acceptedView(view(record)),
    }).reply;
  };
  app.route('PUT', `${GROUP}/{name}`, write, async (request) => {
    const { s, g, name } = request.params as { s: string; g: string; name: string };
    checkName(name, 'disk.name');
    const body = parseBody(diskBody, request.body);
    checkTags(body.tags, limits.tags);
    const known = records.disks.get(resourceId(s, g, DISKS, name));
    if (known) {
      refuseOtherCreation(known, body);
      await change(services, known, { ...body, tags: body.tags ?? {} });
      return accepted(request, known);
    }
    const location = app.core.subscriptions.requireLocation(s, body.location);
    return accepted(request, await create(services, request, { s, g, name, location }, body));
  });
  app.route('PATCH', `${GROUP}/{name}`, write, async (request) => {
    const body = parseBody(diskPatch, request.body);
    checkTags(body.tags, limits.tags);
    const record = find(request);
    await change(services, record, body);
    return accepted(request, record);
  });
  app.route(
    'DELETE',
    `${GROUP}/{name}`,
    { action: 'Microsoft.Compute/disks/delete', throttle: 'createUpdateDisks' },
    (request) => {
      const record = records.disks.get(
        resourceId(
          request.params.s as string,
          request.params.g as string,
          DISKS,
          request.params.name as string,
        ),
      );
      if (!record) return { status: 204 };
      if (record.managedBy !== undefined)
        throw notAllowed(`Disk ${record.name} is attached to VM ${record.managedBy}.`);
      refuseGranted(records, record);
      record.provisioningState = 'Deleting';
      records.save(record);
      const order = {
        service: 'disk',
        location: record.location,
        target: record.id,
        finisher: 'disk.deleted',
      } as const;
      return app.startOperation(request, order, { status: 202, monitor: true }).reply;
    },
  );
  const hydrate = 'snapshotCreateHydrate' as const;
  app.route(
    'POST',
    `${GROUP}/{name}/beginGetAccess`,
    { action: 'Microsoft.Compute/disks/beginGetAccess/action', throttle: hydrate },
    (request) => grants.begin(request, find(request)),
  );
  app.route(
    'POST',
    `${GROUP}/{name}/endGetAccess`,
    { action: 'Microsoft.Compute/disks/endGetAccess/action', throttle: hydrate },
    (request) => grants.end(request, find(request)),
  );
}

export function refuseGranted(records: DiskRecords, record: DiskLike): void {
  if (!records.activeGrant(record)) return;
  throw notAllowed(
    `There is an active shared access signature outstanding for ${record.kind} ${record.name}. Call EndGetAccess before attaching or deleting the ${record.kind}.`,
  );
}

function refuseOtherCreation(known: DiskRecord, body: DiskPut): void {
  const { createOption, sourceResourceId, uploadSizeBytes } = body.properties.creationData;
  const changed =
    createOption !== known.creation.createOption
      ? 'createOption'
      : !sameId(sourceResourceId ?? '', known.creation.sourceResourceId ?? '')
        ? 'sourceResourceId'
        : uploadSizeBytes !== known.creation.uploadSizeBytes
          ? 'uploadSizeBytes'
          : undefined;
  if (changed === undefined) return;
  throw new ArmError(
    409,
    'PropertyChangeNotAllowed',
    `Changing property 'disk.creationData.${changed}' is not allowed.`,
    { target: `disk.creationData.${changed}` },
  );
}

async function change(services: DiskServices, record: DiskRecord, body: DiskPatch): Promise<void> {
  const { records } = services;
  if (record.provisioningState === 'Deleting') throw notAllowed(`Disk ${record.name} is being deleted.`);
  const properties = body.properties ?? {};
  if (body.sku) record.sku = checkSku('disk', body.sku.name);
  if (properties.diskSizeGB !== undefined && !record.uploading) {
    const bytes = checkGrowth('disk', record.sizeBytes, properties.diskSizeGB);
    if (bytes > record.sizeBytes) {
      refuseGranted(records, record);
      await records.store.resize(record.uniqueId, bytes);
      record.sizeBytes = bytes;
    }
  }
  if (body.tags) record.tags = body.tags;
  if (properties.osType !== undefined) record.osType = properties.osType;
  record.echoed = { ...record.echoed, ...echoedProperties(properties) };
}

async function create(
  services: DiskServices,
  request: ArmRequest,
  at: { s: string; g: string; name: string; location: string },
  body: DiskPut,
): Promise<DiskRecord> {
  const { records, clock } = services;
  const { properties } = body;
  const { creationData } = properties;
  if (creationData.logicalSectorSize === 4096)
    throw invalidParameter(
      'disk.creationData.logicalSectorSize',
      'The simulator keeps disks with sectors of 512 bytes only.',
    );
  const draft = newDisk({
    subscription: at.s,
    group: at.g,
    name: at.name,
    location: at.location,
    tags: body.tags ?? {},
    sku: checkSku('disk', body.sku?.name ?? 'Standard_LRS'),
    ...(body.zones === undefined ? {} : { zones: body.zones }),
    ...(properties.osType === undefined ? {} : { osType: properties.osType }),
    ...(properties.hyperVGeneration === undefined ? {} : { hyperVGeneration: properties.hyperVGeneration }),
    echoed: echoedProperties(properties),
    timeCreated: clock.now().getTime(),
    creation: { createOption: 'Empty' },
    sizeBytes: 0,
  });
  switch (creationData.createOption) {
    case 'Empty': {
      if (properties.diskSizeGB === undefined)
        throw invalidParameter('diskSizeGB', "Required parameter 'diskSizeGB' is missing (null).");
      draft.sizeBytes = properties.diskSizeGB * 2 ** 30;
      await records.store.create(draft.uniqueId, draft.sizeBytes);
      return draft;
    }
    case 'Upload': {
      const bytes = checkUploadSize(creationData.uploadSizeBytes);
      draft.creation = { createOption: 'Upload', uploadSizeBytes: bytes };
      draft.sizeBytes = bytes - 512;
      draft.uploading = true;
      await records.store.createForUpload(draft.uniqueId, bytes);
      return draft;
    }
    case 'Copy': {
      const source = copySource(services, request, creationData.sourceResourceId, draft);
      draft.creation = { createOption: 'Copy', sourceResourceId: source.id, sourceUniqueId: source.uniqueId };
      draft.sizeBytes =
        properties.diskSizeGB === undefined
          ? source.sizeBytes
          : checkGrowth('disk', source.sizeBytes, properties.diskSizeGB);
      if (draft.osType === undefined && source.osType !== undefined) draft.osType = source.osType;
      if (draft.hyperVGeneration === undefined && source.hyperVGeneration !== undefined)
        draft.hyperVGeneration = source.hyperVGeneration;
      await records.store.clone(source.uniqueId, draft.uniqueId, draft.sizeBytes);
      return draft;
    }
    default:
      throw invalidParameter(
        'disk.creationData.createOption',
        `The simulator does not make disks with createOption '${creationData.createOption}': it knows Empty, Copy and Upload.`,
      );
  }
}

/** The disk or snapshot to copy; the caller needs beginGetAccess on it. */
function copySource(
  services: DiskServices,
  request: ArmRequest,
  id: string | undefined,
  draft: DiskRecord,
): DiskLike {
  const { app, records } = services;
  const property = 'properties.creationData.sourceResourceId';
  if (id === undefined)
    throw invalidParameter(
      'disk.creationData.sourceResourceId',
      "Required parameter 'disk.creationData.sourceResourceId' is missing (null).",
    );
  const type = parseResourceId(id)?.type.toLowerCase();
  if (type !== DISKS.toLowerCase() && type !== SNAPSHOTS.toLowerCase()) {
    throw new ArmError(
      400,
      'LinkedInvalidPropertyId',
      `Property id '${id}' at path '${property}' is invalid: expected a disk or a snapshot.`,
    );
  }
  const noun = type === DISKS.toLowerCase() ? 'disks' : 'snapshots';
  app.core.roles.requireLinked(request.caller, 'Microsoft.Compute/disks/write', draft.id, {
    action: `Microsoft.Compute/${noun}/beginGetAccess/action`,
    scope: id,
  });
  const source = records.get(id);
  if (!source)
    throw new ArmError(404, 'ResourceNotFound', `The source '${id}' of disk ${draft.name} was not found.`);
  if (source.kind === 'disk' && source.uploading)
    throw notAllowed(`Disk ${source.name} is in upload state and cannot be copied.`);
  if (source.location !== draft.location)
    throw invalidParameter(
      'location',
      `The source ${source.name} is in ${source.location}, not in ${draft.location}.`,
    );
  return source;
}
