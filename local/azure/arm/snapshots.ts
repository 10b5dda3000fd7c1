/** Snapshots: full and incremental, with families; the limits per disk; never taken anew by a PUT that is repeated. */
import { randomUUID } from 'node:crypto';
import { ArmError, invalidParameter, notAllowed } from '../errors.ts';
import type { ArmReply, ArmRequest } from './app.ts';
import { checkName, parseBody } from './body.ts';
import { checkSku, diskPatch, echoedProperties, type SnapshotPut, snapshotBody } from './diskBodies.ts';
import { DISKS, type DiskRecord, SNAPSHOTS, type SnapshotRecord } from './diskRecords.ts';
import { type DiskServices, refuseGranted } from './disks.ts';
import { acceptedView, snapshotView } from './diskViews.ts';
import { referredId, resourceId, sameId } from './ids.ts';
import { checkTags } from './tags.ts';
import { hasZones } from './zones.ts';

const GROUP = '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Compute/snapshots';
const FIVE_MINUTES = 300_000;
/** Snapshots of one disk whose background copy goes on. */
const MAX_PENDING = 3;
const COPIED_IN_BACKGROUND = /^(UltraSSD|PremiumV2)_/;

export function snapshotRoutes(services: DiskServices): void {
  const { app, records, grants, limits } = services;
  const { operations } = app.core;
  const find = (request: ArmRequest) =>
    records.snapshot(request.params.s as string, request.params.g as string, request.params.name as string);
  const view = (record: SnapshotRecord) => snapshotView(record, records);

  operations.register(
    'snapshot.written',
    (operation) => {
      const record = records.snapshots.get(operation.target);
      if (!record) return;
      record.provisioningState = operation.outcome.status === 'Succeeded' ? 'Succeeded' : 'Failed';
      records.save(record);
    },
    (operation) => {
      const record = records.snapshots.get(operation.target);
      return record && view(record);
    },
  );
  operations.register('snapshot.deleted', (operation) => {
    const record = records.snapshots.get(operation.target);
    if (!record) return;
    if (operation.outcome.status === 'Succeeded') return records.remove(record);
    record.provisioningState = 'Failed';
    records.save(record);
  });

  const listed = (request: ArmRequest) => {
    const { s, g } = request.params as { s: string; g?: string };
    const mine = records.snapshots.filter(
      (known) =>
        known.restorePoint === undefined &&
        known.subscription.toLowerCase() === s.toLowerCase() &&
        (g === undefined || known.group.toLowerCase() === g.toLowerCase()),
    );
    return app.listReply(request, 'Microsoft.Compute/snapshots/read', mine.map(view));
  };
  const read = { action: 'Microsoft.Compute/snapshots/read', throttle: 'lowCostGet' } as const;
  app.route(
    'GET',
    '/subscriptions/{s}/providers/Microsoft.Compute/snapshots',
    { ...read, list: true },
    listed,
  );
  app.route('GET', GROUP, { ...read, list: true }, listed);
  app.route('GET', `${GROUP}/{name}`, read, (request) => ({ status: 200, body: view(find(request)) }));

  const write = { action: 'Microsoft.Compute/snapshots/write', throttle: 'snapshotCreateHydrate' } as const;
  const accepted = (request: ArmRequest, record: SnapshotRecord): ArmReply => {
    record.provisioningState = 'Updating';
    records.save(record);
    const order = {
      service: 'disk',
      location: record.location,
      target: record.id,
      finisher: 'snapshot.written',
    } as const;
    return app.startOperation(request, order, {
      status: 202,
      monitor: true,
      body: acceptedView(view(record)),
    }).reply;
  };
  app.route('PUT', `${GROUP}/{name}`, write, async (request) => {
    const { s, g, name } = request.params as { s: string; g: string; name: string };
    checkName(name, 'snapshot.name');
    const body = parseBody(snapshotBody, request.body);
    checkTags(body.tags, limits.tags);
    const known = records.snapshots.get(resourceId(s, g, SNAPSHOTS, name));
    if (known) {
      const { createOption, sourceResourceId } = body.properties.creationData;
      if (createOption !== 'Copy' || !sameId(sourceResourceId ?? '', known.sourceResourceId)) {
        throw new ArmError(
          409,
          'PropertyChangeNotAllowed',
          "Changing property 'snapshot.creationData.sourceResourceId' is not allowed.",
          { target: 'snapshot.creationData.sourceResourceId' },
        );
      }
      if (body.properties.incremental !== undefined && body.properties.incremental !== known.incremental) {
        throw new ArmError(
          409,
          'PropertyChangeNotAllowed',
          "Changing property 'snapshot.incremental' is not allowed.",
          { target: 'snapshot.incremental' },
        );
      }
      change(known, { tags: body.tags ?? {}, properties: body.properties });
      return accepted(request, known);
    }
    const location = app.core.subscriptions.requireLocation(s, body.location);
    return accepted(request, await take(services, request, { s, g, name, location }, body));
  });
  app.route('PATCH', `${GROUP}/{name}`, write, (request) => {
    const body = parseBody(diskPatch, request.body);
    checkTags(body.tags, limits.tags);
    const record = find(request);
    change(record, body);
    return accepted(request, record);
  });
  app.route(
    'DELETE',
    `${GROUP}/{name}`,
    { action: 'Microsoft.Compute/snapshots/delete', throttle: 'createUpdateDisks' },
    (request) => {
      const record = records.snapshots.get(
        resourceId(
          request.params.s as string,
          request.params.g as string,
          SNAPSHOTS,
          request.params.name as string,
        ),
      );
      if (!record) return { status: 204 };
      refuseGranted(records, record);
      record.provisioningState = 'Deleting';
      records.save(record);
      const order = {
        service: 'disk',
        location: record.location,
        target: record.id,
        finisher: 'snapshot.deleted',
      } as const;
      return app.startOperation(request, order, { status: 202, monitor: true }).reply;
    },
  );
  const hydrate = 'snapshotCreateHydrate' as const;
  app.route(
    'POST',
    `${GROUP}/{name}/beginGetAccess`,
    { action: 'Microsoft.Compute/snapshots/beginGetAccess/action', throttle: hydrate },
    (request) => grants.begin(request, find(request)),
  );
  app.route(
    'POST',
    `${GROUP}/{name}/endGetAccess`,
    { action: 'Microsoft.Compute/snapshots/endGetAccess/action', throttle: hydrate },
    (request) => grants.end(request, find(request)),
  );
}

function change(
  record: SnapshotRecord,
  body: { tags?: Record<string, string> | undefined; properties?: Record<string, unknown> | undefined },
): void {
  if (record.provisioningState === 'Deleting') throw notAllowed(`Snapshot ${record.name} is being deleted.`);
  if (body.tags) record.tags = body.tags;
  record.echoed = { ...record.echoed, ...echoedProperties(body.properties ?? {}) };
}

async function take(
  services: DiskServices,
  request: ArmRequest,
  at: { s: string; g: string; name: string; location: string },
  body: SnapshotPut,
): Promise<SnapshotRecord> {
  const { records, clock } = services;
  const { creationData } = body.properties;
  const id = resourceId(at.s, at.g, SNAPSHOTS, at.name);
  if (creationData.createOption !== 'Copy') {
    throw invalidParameter(
      'snapshot.creationData.createOption',
      `The simulator does not make snapshots with createOption '${creationData.createOption}': it knows Copy of a disk in the same region.`,
    );
  }
  const disk = sourceDisk(services, request, id, creationData.sourceResourceId);
  if (disk.location !== at.location)
    throw invalidParameter(
      'location',
      `Disk ${disk.name} is in ${disk.location}, not in ${at.location}; a snapshot is made where its disk is.`,
    );
  const incremental = body.properties.incremental ?? false;
  const sku = checkSku('snapshot', body.sku?.name ?? 'Standard_LRS');
  if (sku === 'Standard_ZRS' && !hasZones(at.location))
    throw invalidParameter('sku.name', `SKU Standard_ZRS is not supported in region ${at.location}.`);
  const background = COPIED_IN_BACKGROUND.test(disk.sku);
  if (background) checkPending(services, disk);
  const now = clock.now();
  if (incremental) checkLimits(services, disk, now.getTime());
  const uniqueId = randomUUID();
  await records.store.snapshot(disk.uniqueId, uniqueId);
  if (incremental) {
    disk.familyId ??= randomUUID();
    disk.snapshotOrdinal += 1;
    disk.recentSnapshots = [
      ...disk.recentSnapshots.filter((time) => time > now.getTime() - FIVE_MINUTES),
      now.getTime(),
    ];
    records.save(disk);
  }
  const { osType, hyperVGeneration } = disk;
  return {
    kind: 'snapshot',
    id,
    subscription: at.s,
    group: at.g,
    name: at.name,
    location: at.location,
    tags: body.tags ?? {},
    sku,
    ...(osType === undefined ? {} : { osType }),
    ...(hyperVGeneration === undefined ? {} : { hyperVGeneration }),
    echoed: { ...inherited(disk), ...echoedProperties(body.properties) },
    uniqueId,
    sizeBytes: disk.sizeBytes,
    timeCreated: now.getTime(),
    provisioningState: 'Updating',
    incremental,
    sourceResourceId: disk.id,
    sourceUniqueId: disk.uniqueId,
    ...(incremental ? { familyId: disk.familyId as string } : {}),
    // Seven digits; the last four tell snapshots of one millisecond apart.
    snapshotTime: now
      .toISOString()
      .replace('Z', `${String(disk.snapshotOrdinal % 10_000).padStart(4, '0')}Z`),
    ...(background ? { copiedAt: now.getTime() + services.backgroundCopyMs() } : {}),
  };
}

/** What a snapshot takes over from its disk, because it describes the content. */
function inherited(disk: DiskRecord): Record<string, unknown> {
  const kept = [
    'securityProfile',
    'supportedCapabilities',
    'purchasePlan',
    'encryption',
    'encryptionSettingsCollection',
  ];
  return Object.fromEntries(Object.entries(disk.echoed).filter(([name]) => kept.includes(name)));
}

function sourceDisk(
  { app, records }: DiskServices,
  request: ArmRequest,
  target: string,
  id: string | undefined,
): DiskRecord {
  if (id === undefined)
    throw invalidParameter(
      'snapshot.creationData.sourceResourceId',
      "Required parameter 'snapshot.creationData.sourceResourceId' is missing (null).",
    );
  const parsed = referredId(id, DISKS, 'properties.creationData.sourceResourceId');
  app.core.roles.requireLinked(request.caller, 'Microsoft.Compute/snapshots/write', target, {
    action: 'Microsoft.Compute/disks/beginGetAccess/action',
    scope: id,
  });
  if (parsed.subscription.toLowerCase() !== (request.params.s as string).toLowerCase()) {
    throw invalidParameter(
      'snapshot.creationData.sourceResourceId',
      'An incremental snapshot is made in the subscription of its disk.',
    );
  }
  const disk = records.disk(parsed.subscription, parsed.group, parsed.name);
  if (disk.uploading)
    throw notAllowed(`Disk ${disk.name} is in upload state and cannot be the source of a snapshot.`);
  if (disk.provisioningState === 'Deleting') throw notAllowed(`Disk ${disk.name} is being deleted.`);
  return disk;
}

function checkPending({ records }: DiskServices, disk: DiskRecord): void {
  const pending = records
    .incrementalsOf(disk.uniqueId)
    .filter((snapshot) => (records.completionPercent(snapshot) ?? 100) < 100);
  if (pending.length < MAX_PENDING) return;
  throw notAllowed(
    `Disk ${disk.name} has ${pending.length} snapshots whose background copy goes on; at most ${MAX_PENDING} are allowed. Please try again in some minutes.`,
  );
}

/** The two limits are documented; the texts of their errors are not. */
function checkLimits({ records, limits }: DiskServices, disk: DiskRecord, now: number): void {
  const recent = disk.recentSnapshots.filter((time) => time > now - FIVE_MINUTES);
  if (recent.length >= limits.snapshotsPerDiskIn5Minutes) {
    throw notAllowed(
      `Disk ${disk.name} had ${recent.length} incremental snapshots in the last 5 minutes; at most ${limits.snapshotsPerDiskIn5Minutes} are allowed. Please try again later.`,
    );
  }
  const alive = records.incrementalsOf(disk.uniqueId).length;
  if (alive >= limits.snapshotsPerDisk) {
    throw notAllowed(
      `Disk ${disk.name} has ${alive} incremental snapshots; at most ${limits.snapshotsPerDisk} are allowed. Delete one first.`,
    );
  }
}
