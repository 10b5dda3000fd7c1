import type { Installation } from '../../installation/index.ts';
import {
  type DiskProgress,
  fromFailure,
  noteThrottling,
  type SessionPhase,
  type Throttling,
} from '../../model/index.ts';
import type { QueueStatus } from '../../workers/index.ts';
import { damagedObjects, noteDamage } from '../damage.ts';
import { keepHold } from '../hold.ts';
import { enterStep } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { poolOf, readInline } from '../state.ts';
import { superviseWorker } from '../worker.ts';

/**
 * Looks at the jobs of a session: shows their progress in the session, keeps its claim alive, and sees to it that a worker
 * is there while there is work.
 *
 * @throws what poisoned a job; `cancelled`
 */
export async function collectJobs(installation: Installation, sessionId: string): Promise<Looked<null>> {
  const pool = await poolOf(installation, sessionId);
  const status = await installation.queue.status(pool, sessionId);
  // While there was no worker yet, the phase was that of waiting for one.
  const atWork = status.jobs.find(({ state }) => state === 'open' || state === 'claimed');
  await enterStep(installation, sessionId, atWork?.kind);
  await showProgress(installation, sessionId, status);
  const [poisoned] = status.failures;
  if (poisoned) {
    await noteDamage(installation, sessionId, damagedObjects(status.attempts));
    throw fromFailure(poisoned);
  }
  if (status.ended) return seen(null);
  await keepHold(installation, sessionId);
  if (!(await readInline(installation, sessionId))) await superviseWorker(installation, sessionId);
  return notYet(`${status.open + status.claimed + status.expired} jobs`);
}

async function showProgress(
  installation: Installation,
  sessionId: string,
  status: QueueStatus,
): Promise<void> {
  await installation.catalog.sessions.update(sessionId, (session) => {
    const disks = session.disks.map((disk) => progressOf(disk, status));
    const phase = phaseOf(status) ?? session.phase;
    const throttling = noteThrottling(session.throttling, refusedTo(status));
    const same =
      phase === session.phase &&
      throttling === session.throttling &&
      JSON.stringify(disks) === JSON.stringify(session.disks);
    return same ? session : { ...session, phase, disks, throttling: [...throttling] };
  });
}

/** What services refused to the workers of a session, by the jobs that are done. */
function refusedTo({ results }: QueueStatus): Throttling {
  const all = results.map(({ result }) => result.refused ?? { calls: 0, seconds: 0 });
  return {
    source: 'workers',
    calls: all.reduce((sum, { calls }) => sum + calls, 0),
    seconds: all.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

/** The phase is that of the jobs which are being done. */
function phaseOf({ jobs }: QueueStatus): SessionPhase | null {
  const kinds = new Set(
    jobs.filter(({ state }) => state === 'open' || state === 'claimed').map(({ kind }) => kind),
  );
  return kinds.has('plan') ? 'plan' : kinds.has('move') ? 'move' : kinds.has('restore') ? 'restore' : null;
}

/** Sums over the jobs of a disk: what finished ones say, and what running ones last told. */
function progressOf(disk: DiskProgress, status: QueueStatus): DiskProgress {
  const results = new Map(status.results.map(({ id, result }) => [id, result]));
  const sum = { doneBytes: 0, readBytes: 0, storedBytes: 0 };
  for (const job of status.jobs) {
    if (job.disk !== disk.number) continue;
    const result = results.get(job.id);
    if (result?.kind === 'plan') sum.readBytes += result.sampledBytes;
    else if (result?.kind === 'move') {
      sum.doneBytes += result.readBytes;
      sum.readBytes += result.readBytes;
      sum.storedBytes += result.storedBytes;
    } else if (result?.kind === 'restore') {
      sum.doneBytes += result.writtenBytes;
      sum.storedBytes += result.writtenBytes;
    } else if (job.kind !== 'plan') {
      sum.doneBytes += job.progress.doneBytes;
      sum.readBytes += job.progress.readBytes;
      sum.storedBytes += job.progress.storedBytes;
    }
  }
  return { ...disk, ...sum };
}
