import { type Clock, HoldfastError, type RestorePoint, restorePointName } from '../../lib/model/index.ts';
import type { LocalApi, SessionAnswer } from '../api.ts';
import { firstDifference } from './fingerprint.ts';
import type { DemoPoint, DemoReport, DemoRestore } from './report.ts';
import type { Truth } from './truth.ts';

/** What the main job asks of the cloud's other side. */
export interface CloudSide {
  /** Lets the guest write to the machine's disks. */
  guestWrites(): Promise<void>;
  /** ARM ids of disks and snapshots with a SAS that still works. */
  openGrants(): Promise<string[]>;
  /** Worker VMs that were created, and those of them that were neither deallocated nor deleted since. */
  workers(): Promise<{ used: string[]; running: string[] }>;
}

/** What happened, before it is compared with the truth. */
export interface MainJob {
  readonly machine: string;
  readonly points: readonly { readonly point: RestorePoint; readonly seconds: number }[];
  readonly restores: readonly {
    readonly point: RestorePoint;
    readonly seconds: number;
    readonly created: readonly { readonly number: number; readonly diskId: string }[];
  }[];
  readonly left: DemoReport['left'];
  readonly workers: string[];
  readonly seconds: number;
}

const SESSION_MS = 240_000;
/** Workers are released after their session has ended. */
const RELEASE_MS = 60_000;
const BLOCK_BYTES = 512 * 1024;

/**
 * The main job once, through the API and a worker: full backup, the guest writes, incremental backup, both restored to new
 * disks. `say` gets a line for each step. Throws when a session does not succeed.
 */
export async function runMainJob(
  machine: string,
  api: LocalApi,
  cloud: CloudSide,
  clock: Clock,
  say: (line: string) => void,
): Promise<MainJob> {
  const started = clock.now().getTime();
  const points: { point: RestorePoint; seconds: number }[] = [];
  for (const turn of ['First', 'Second']) {
    if (points.length > 0) {
      say('The guest writes to its disks.');
      await cloud.guestWrites();
    }
    say(`${turn} backup of ${machine}:`);
    const from = clock.now().getTime();
    const id = await api.startBackup({ machine, mover: 'worker', reason: `${turn} backup of the demo` });
    const point = await pointOf(api, machine, await finished(api, id, say));
    points.push({ point, seconds: seconds(from, clock) });
  }
  const restores: { point: RestorePoint; seconds: number; created: { number: number; diskId: string }[] }[] =
    [];
  for (const [i, { point }] of points.entries()) {
    say(`Restore of ${restorePointName(point)} (${point.kind}) to new disks:`);
    const from = clock.now().getTime();
    const id = await api.startRestore({
      restorePoint: restorePointName(point),
      namePrefix: `restored${i + 1}-`,
    });
    const { createdDisks = [] } = await finished(api, id, say);
    restores.push({ point, seconds: seconds(from, clock), created: createdDisks });
  }
  const { used, running, openGrants } = await released(cloud, clock);
  const left = { openGrants, runningWorkers: running };
  return { machine, points, restores, left, workers: used, seconds: seconds(started, clock) };
}

/** Compares what happened with the truth, every byte of it. */
export async function judge(job: MainJob, truth: Truth): Promise<DemoReport> {
  const points: DemoPoint[] = [];
  for (const [i, { point, seconds }] of job.points.entries()) {
    const before = job.points[i - 1]?.point;
    const disks: DemoPoint['disks'] = [];
    for (const disk of point.disks) {
      const { number, name, sizeBytes, allocatedBytes, readBytes, storedBytes, readReason } = disk;
      const base = before?.disks.find((one) => one.number === number);
      const allowedReadBytes =
        base && readReason === 'changedBlocks'
          ? (await truth.changedBlocks(disk.snapshotId, base.snapshotId, BLOCK_BYTES)) * BLOCK_BYTES +
            samples(sizeBytes)
          : null;
      disks.push({ name, sizeBytes, allocatedBytes, readBytes, storedBytes, readReason, allowedReadBytes });
    }
    points.push({ name: restorePointName(point), kind: point.kind, seconds, disks });
  }
  const restores: DemoRestore[] = [];
  for (const { point, seconds, created } of job.restores) {
    const disks: DemoRestore['disks'] = [];
    for (const { number, name, sizeBytes, snapshotId } of point.disks) {
      const diskId = created.find((one) => one.number === number)?.diskId;
      const difference =
        diskId === undefined
          ? 'the session names no disk for it'
          : (firstDifference(await truth.fingerprint(diskId), await truth.fingerprint(snapshotId)) ?? null);
      const identical = difference === null;
      disks.push({ name, diskId: diskId ?? '', comparedBytes: sizeBytes, identical, difference });
    }
    const identical = disks.length > 0 && disks.every((disk) => disk.identical);
    restores.push({ restorePoint: restorePointName(point), seconds, identical, disks });
  }
  return {
    machine: job.machine,
    points,
    restores,
    left: job.left,
    workers: job.workers,
    seconds: job.seconds,
  };
}

/** What an incremental reads beside the changes to check their list: ten blocks, or 0.1 % of the disk if that is more. */
const samples = (sizeBytes: number): number =>
  Math.max(10, Math.ceil(sizeBytes / BLOCK_BYTES / 1000)) * BLOCK_BYTES;

async function finished(api: LocalApi, id: string, say: (line: string) => void): Promise<SessionAnswer> {
  let phase = '';
  const session = await api.wait(id, SESSION_MS, (now) => {
    if (now.phase === phase || now.phase === 'done') return;
    phase = now.phase;
    say(`  ${now.kind} ${now.id}: ${phase}`);
  });
  if (session.status === 'succeeded') return session;
  throw new HoldfastError(
    'internal',
    `The ${session.kind} session ${id} ended ${session.status}: ${reasons(session)}`,
    {
      target: id,
    },
  );
}

const reasons = ({ error, warnings }: SessionAnswer): string =>
  [...(error ? [`${error.code}: ${error.message}`] : []), ...warnings].join('; ') || 'no reason given';

async function pointOf(api: LocalApi, machine: string, session: SessionAnswer): Promise<RestorePoint> {
  const { restorePoint } = session;
  const found = (await api.points(machine)).find(
    ({ chainId, sequence }) => chainId === restorePoint?.chainId && sequence === restorePoint.sequence,
  );
  if (found) return found;
  throw new HoldfastError(
    'notFound',
    `Session ${session.id} succeeded, and its restore point is not listed.`,
  );
}

async function released(cloud: CloudSide, clock: Clock) {
  const deadline = clock.now().getTime() + RELEASE_MS;
  for (;;) {
    const { used, running } = await cloud.workers();
    const openGrants = await cloud.openGrants();
    const isDone = running.length === 0 && openGrants.length === 0;
    if (isDone || clock.now().getTime() > deadline) return { used, running, openGrants };
    await clock.sleep(500);
  }
}

const seconds = (from: number, clock: Clock): number => Math.round((clock.now().getTime() - from) / 100) / 10;
