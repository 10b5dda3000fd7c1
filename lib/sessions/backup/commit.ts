import type { Installation, InstalledRepository } from '../../installation/index.ts';
import { isHoldfastError, type MoveResult, type PlanResult } from '../../model/index.ts';
import {
  type Chain,
  type CommittedPoint,
  commitPoint,
  type DiskToCommit,
  openChain,
  type PointManifest,
  readManifest,
} from '../../repository/index.ts';
import { enterStep, warn } from '../live.ts';
import { need, type OpenedBackup, readState, type SnapshotSetState } from '../state.ts';
import { plansOf } from './plan.ts';
import { readBack } from './readBack.ts';
import { keepPoint } from './settle.ts';

/**
 * Commits the restore point: reads a sample back and compares it with the snapshot, checks what the shards wrote, assembles the block maps, creates the manifest, and records it in
 * the catalog. May run again, at any point: the manifest is what decides.
 *
 * @throws `claimLost` when the number was ended as void meanwhile
 */
export async function commitBackup(
  installation: Installation,
  sessionId: string,
): Promise<CommittedPoint['restorePoint']> {
  const session = await enterStep(installation, sessionId, 'commit');
  const state = await readState(installation, sessionId, 'backup');
  const opened = need(state.opened, 'what openSession found', sessionId);
  const snapshots = need(state.snapshots, 'the snapshot set', sessionId);
  const { request } = state;
  const repository = await installation.repository(request.repository);
  const chain = await openChain(repository, opened.chainId);
  const { id: owner } = await installation.identity();
  const { sequence, epoch, parent } = opened;
  const disks = await disksToCommit(installation, sessionId, opened, snapshots);
  for (const snapshot of snapshots.disks) {
    const shards = disks.find(({ number }) => number === snapshot.number)?.shards ?? [];
    await readBack(installation, sessionId, chain, { snapshot, shards });
  }
  const { restorePoint } = await commitPoint(chain, {
    claim: { sequence, epoch, parent, installation: owner, session: sessionId },
    policyId: session.policyId,
    takenAt: new Date(snapshots.takenAt),
    now: installation.clock.now(),
    consistency: snapshots.consistency,
    configuration: opened.configuration,
    retention: {
      flags: state.request.backupFlags,
      rules: state.request.protection.retention,
      expiresAt: state.request.expiresAt,
    },
    disks,
    leftOut: opened.leftOut,
    protect: repository.locks?.protect.bind(repository.locks),
  });
  const stored = need(await readManifest(chain, sequence), 'the manifest', sessionId);
  if (stored.manifest.state === 'point') {
    await keepPoint(installation, chain, epoch, { ...stored, manifest: stored.manifest });
    await confirmLock(installation, sessionId, repository, { chain, manifest: stored.manifest });
  }
  tell(installation, session.machineId ?? restorePoint.machineId, restorePoint);
  return restorePoint;
}

/** Reads the manifest's own lock back. The point is committed: that it can be removed is a warning, not a failure. */
async function confirmLock(
  installation: Installation,
  sessionId: string,
  { locks }: InstalledRepository,
  { chain, manifest }: { readonly chain: Chain; readonly manifest: PointManifest },
): Promise<void> {
  if (!locks) return;
  try {
    const until = await locks.confirm(chain, manifest);
    await installation.catalog.points.noteLock(chain.id, manifest.sequence, until);
  } catch (error) {
    if (!isHoldfastError(error, 'notConfigured')) throw error;
    await warn(installation, sessionId, error.message);
  }
}

async function disksToCommit(
  installation: Installation,
  sessionId: string,
  opened: OpenedBackup,
  snapshots: SnapshotSetState,
): Promise<DiskToCommit[]> {
  const plans = await plansOf(installation, opened.pool, sessionId);
  const moves = await movesOf(installation, opened.pool, sessionId);
  return snapshots.disks.map((snapshot) => {
    const entry = opened.disks.find(({ number }) => number === snapshot.number);
    const { disk } = need(entry ?? null, `disk ${snapshot.number}`, sessionId);
    const plan: PlanResult = need(
      plans.get(snapshot.number) ?? null,
      `the plan of disk ${snapshot.number}`,
      sessionId,
    );
    const { uniqueId, name, role, lun, sectorSize } = disk;
    return {
      number: snapshot.number,
      uniqueId,
      name,
      role,
      lun,
      sectorSize,
      // The disk may have grown since it was looked at; what was read is the snapshot.
      sizeBytes: snapshot.sizeBytes,
      snapshotId: snapshot.id,
      snapshotFamilyId: snapshot.familyId,
      readReason: plan.readReason,
      sampledBytes: plan.sampledBytes,
      shards: moves.get(snapshot.number) ?? [],
    };
  });
}

async function movesOf(
  installation: Installation,
  pool: string,
  sessionId: string,
): Promise<Map<number, MoveResult[]>> {
  const moves = new Map<number, MoveResult[]>();
  for (const { disk, result } of (await installation.queue.status(pool, sessionId)).results) {
    if (result.kind === 'move') moves.set(disk, [...(moves.get(disk) ?? []), result]);
  }
  return moves;
}

function tell({ telemetry }: Installation, machineId: string, point: CommittedPoint['restorePoint']): void {
  const sum = (pick: (disk: (typeof point.disks)[number]) => number) =>
    point.disks.reduce((total, disk) => total + pick(disk), 0);
  telemetry.event('holdfast.restorePoint.created', {
    sessionId: point.sessionId,
    machineId,
    sequence: point.sequence,
    kind: point.kind,
    consistency: point.consistency,
    disks: point.disks.length,
    readReasons: [...new Set(point.disks.map(({ readReason }) => readReason))],
    bytesRead: sum(({ readBytes }) => readBytes),
    bytesStored: sum(({ storedBytes }) => storedBytes),
  });
}
