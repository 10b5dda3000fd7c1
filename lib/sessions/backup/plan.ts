import { isDiskRestorePoint, type SnapshotInfo } from '../../azure/index.ts';
import { type BaseChoice, chooseBase, type SnapshotFacts } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import type { JobSpec, Mover, PlanResult, ReadReason } from '../../model/index.ts';
import {
  type Chain,
  openChain,
  openPoint,
  type PointManifest,
  pageTableName,
  readPoint,
  writePageTable,
} from '../../repository/index.ts';
import { releaseAccess } from '../access.ts';
import { enterStep, warn } from '../live.ts';
import {
  type BackupState,
  need,
  type OpenedBackup,
  readState,
  type SnapshotSetState,
  updateState,
} from '../state.ts';
import { wholeReadsOf } from './wholeReads.ts';

type DiskSnapshot = SnapshotSetState['disks'][number];
export type Doer = { readonly by: 'worker' | 'app' };

/**
 * Decides how each disk is read, and from which base, and adds a plan job a disk. May run again: the jobs are then there.
 */
export async function planReads(installation: Installation, sessionId: string): Promise<Doer> {
  await enterStep(installation, sessionId, 'plan');
  const state = await readState(installation, sessionId, 'backup');
  const opened = need(state.opened, 'what openSession found', sessionId);
  const { disks } = need(state.snapshots, 'the snapshot set', sessionId);
  const chain = await openChain(await installation.repository(state.request.repository), opened.chainId);
  const parent = opened.parent === null ? null : (await readPoint(chain, opened.parent)).manifest;
  const whole = await wholeReadsOf(installation, state.request, opened.chainId, parent);
  const reads: NonNullable<BackupState['reads']> = [];
  const jobs: { id: string; spec: JobSpec }[] = [];
  for (const snapshot of disks) {
    const previous = parent?.disks.find(({ uniqueId }) => uniqueId === snapshot.sourceUniqueId) ?? null;
    const base = previous ? await installation.azure.snapshots.find(previous.snapshotId) : null;
    const choice = chooseBase(factsOf(snapshot), previous, baseFacts(base), {
      // Of disk restore points Azure tells no differences, and they are not kept.
      changedBlockTracking:
        state.request.protection.changedBlocks.enabled &&
        ![snapshot.id, previous?.snapshotId ?? ''].some(isDiskRestorePoint),
      reset: state.request.reset || whole.isReset(snapshot.sourceUniqueId),
      wholeReadDue: whole.isDue(snapshot.sourceUniqueId),
    });
    await tellWhole(installation, sessionId, opened, snapshot.number, choice.reason);
    const read = { number: snapshot.number, readReason: choice.reason, base: baseOf(choice, snapshot) };
    reads.push(read);
    const parentTable =
      parent && previous
        ? await keepPageTable(installation, chain, sessionId, { manifest: parent, disk: previous.number })
        : null;
    jobs.push({
      id: `plan-${snapshot.number}`,
      spec: {
        kind: 'plan',
        chain: { id: chain.id, blockBytes: chain.blockBytes },
        sequence: opened.sequence,
        disk: snapshot.number,
        sizeBytes: snapshot.sizeBytes,
        snapshotId: snapshot.id,
        baseSnapshotId: choice.baseSnapshotId,
        readReason: choice.reason,
        parentTable,
        shardBytes: installation.settings.HOLDFAST_SHARD_BYTES,
      },
    });
  }
  const by = whoPlans(state.request.protection.mover, reads);
  await updateState(installation, sessionId, 'backup', (current) => ({
    ...current,
    reads,
    inline: by === 'app',
  }));
  await installation.queue.addJobs(opened.pool, sessionId, jobs);
  return { by };
}

/** Turns the plans into move jobs, one a shard, and gives back the bases, which only planning reads. */
export async function dispatchMoves(installation: Installation, sessionId: string): Promise<Doer> {
  await enterStep(installation, sessionId, 'move');
  const state = await readState(installation, sessionId, 'backup');
  const opened = need(state.opened, 'what openSession found', sessionId);
  const snapshots = need(state.snapshots, 'the snapshot set', sessionId).disks;
  const plans = await plansOf(installation, opened.pool, sessionId);
  await releaseAccess(installation, sessionId, { purpose: 'base' });
  await showPlan(installation, sessionId, plans);
  await tellSurprises(installation, sessionId, opened, plans);
  const total = [...plans.values()].reduce((sum, plan) => sum + plan.plannedBytes, 0);
  const small = total <= installation.settings.HOLDFAST_INLINE_BYTES;
  const by =
    state.request.protection.mover === 'inline' || (state.request.protection.mover === 'auto' && small)
      ? 'app'
      : 'worker';
  await updateState(installation, sessionId, 'backup', (current) => ({ ...current, inline: by === 'app' }));
  const jobs = snapshots.flatMap((snapshot) =>
    movesOf(opened.chainId, installation, opened.sequence, snapshot, plans.get(snapshot.number)),
  );
  await installation.queue.addJobs(opened.pool, sessionId, jobs);
  return { by: jobs.length === 0 ? 'app' : by };
}

/** The results of the plan jobs, by disk number. */
export async function plansOf(
  installation: Installation,
  pool: string,
  sessionId: string,
): Promise<Map<number, PlanResult>> {
  const { results } = await installation.queue.status(pool, sessionId);
  return new Map(
    results.flatMap(({ disk, result }) => (result.kind === 'plan' ? [[disk, result] as const] : [])),
  );
}

function movesOf(
  chainId: string,
  { settings }: Installation,
  sequence: number,
  snapshot: DiskSnapshot,
  plan: PlanResult | undefined,
): { id: string; spec: JobSpec }[] {
  return (plan?.shards ?? []).map(({ shard }) => ({
    id: `move-${snapshot.number}-${shard}`,
    spec: {
      kind: 'move',
      chain: { id: chainId, blockBytes: settings.HOLDFAST_BLOCK_BYTES },
      sequence,
      disk: snapshot.number,
      sizeBytes: snapshot.sizeBytes,
      snapshotId: snapshot.id,
      plan: plan?.plan ?? '',
      shard,
      compare: true,
    },
  }));
}

/** Puts the page references of a disk of a restore point where workers reach them. Returns the staging object's name. */
export async function keepPageTable(
  installation: Installation,
  chain: Chain,
  sessionId: string,
  { manifest, disk }: { readonly manifest: PointManifest; readonly disk: number },
): Promise<string> {
  const name = pageTableName(sessionId, disk);
  const { map } = await (await openPoint(chain, manifest)).disk(disk);
  await writePageTable(map, { chain: chain.id, keys: chain.keys, staging: installation.staging, name });
  return name;
}

const UNASKED: Partial<Record<ReadReason, string>> = {
  baseMissing: 'the snapshot of the last restore point is gone',
  otherFamily: 'its snapshots are of another family than those of the last restore point',
  resizedAcross4TB: 'it was resized across 4 TB since the last restore point',
};

/** A disk is read whole although nobody asked for it: slower, and worth a look. The point is incremental all the same. */
async function tellWhole(
  installation: Installation,
  sessionId: string,
  { disks }: OpenedBackup,
  disk: number,
  reason: ReadReason,
): Promise<void> {
  const why = reason.startsWith('diffFailed:')
    ? `Azure did not tell the difference (${reason.slice('diffFailed:'.length)})`
    : UNASKED[reason];
  if (why === undefined) return;
  const name = disks.find(({ number }) => number === disk)?.disk.name ?? disk;
  await warn(installation, sessionId, `Disk ${name} is read whole, not only what changed: ${why}.`);
}

/** CBT called a block unchanged that had changed, or told nothing: the disk was read whole, and somebody should know. */
async function tellSurprises(
  installation: Installation,
  sessionId: string,
  opened: OpenedBackup,
  plans: ReadonlyMap<number, PlanResult>,
): Promise<void> {
  const { configuration, disks } = opened;
  for (const [disk, { readReason, sampledBytes }] of plans) {
    if (readReason.startsWith('diffFailed:'))
      await tellWhole(installation, sessionId, opened, disk, readReason);
    if (readReason !== 'sampleMismatch') continue;
    const name = disks.find(({ number }) => number === disk)?.disk.name ?? disk;
    await warn(
      installation,
      sessionId,
      `Disk ${name}: changed block tracking missed a change; the disk was read whole.`,
    );
    const { id: machineId } = configuration.machine;
    installation.telemetry.event('holdfast.cbt.sampleMismatch', {
      sessionId,
      machineId,
      disk,
      bytesSampled: sampledBytes,
    });
  }
}

async function showPlan(
  installation: Installation,
  sessionId: string,
  plans: ReadonlyMap<number, PlanResult>,
): Promise<void> {
  await installation.catalog.sessions.update(sessionId, (session) => ({
    ...session,
    disks: session.disks.map((disk) => {
      const plan = plans.get(disk.number);
      return plan
        ? {
            ...disk,
            plannedBytes: plan.plannedBytes,
            readBytes: plan.sampledBytes,
            readReason: plan.readReason,
          }
        : disk;
    }),
  }));
}

const factsOf = ({ id, familyId, sourceUniqueId, sizeBytes }: DiskSnapshot): SnapshotFacts => ({
  id,
  familyId,
  sourceUniqueId,
  sizeBytes,
});

function baseFacts(base: SnapshotInfo | null): SnapshotFacts | null {
  if (
    !base?.downloadable ||
    base.familyId === null ||
    base.sourceUniqueId === null ||
    base.sizeBytes === null
  )
    return null;
  const { id, familyId, sourceUniqueId, sizeBytes } = base;
  return { id, familyId, sourceUniqueId, sizeBytes };
}

const baseOf = ({ baseSnapshotId }: BaseChoice, { familyId }: DiskSnapshot) =>
  baseSnapshotId === null ? null : { id: baseSnapshotId, familyId };

/** With `auto` the app plans incrementals itself: their lists are short; a whole read is a worker's work. */
function whoPlans(mover: Mover, reads: NonNullable<BackupState['reads']>): 'worker' | 'app' {
  if (mover === 'inline') return 'app';
  return mover === 'auto' && reads.every(({ base }) => base !== null) ? 'app' : 'worker';
}
