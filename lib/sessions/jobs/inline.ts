import { randomUUID } from 'node:crypto';
import { AzureBlobStore, UploadDisk } from '../../azure/index.ts';
import { type JobIo, runJob } from '../../datapath/index.ts';
import type { Installation } from '../../installation/index.ts';
import {
  HEARTBEAT_SECONDS,
  type Job,
  type JobProgress,
  type JobSecrets,
  toFailure,
} from '../../model/index.ts';
import { AccessWaits } from '../access.ts';
import { enterStep } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { poolOf } from '../state.ts';
import { secretsOf } from './secrets.ts';

/**
 * Does one job of the session in this process, with the same code as a worker. Done when there is none to take; a job that
 * another run of this step still holds is waited for by whoever collects.
 */
export async function doOneJob(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId);
  const pool = await poolOf(installation, sessionId);
  // A name of its own: two runs of one activity are two workers.
  const owner = `app-${randomUUID()}`;
  const job = await installation.queue.claim(owner, { pool, sessionId });
  if (!job)
    return (await installation.queue.status(pool, sessionId)).ended
      ? seen(null)
      : notYet('jobs that others hold');
  const secrets = await accessOf(installation, job, owner);
  if (secrets === null) return notYet('access to a snapshot');
  await runClaimed(installation, job, owner, secrets);
  return notYet('more jobs');
}

/** Null: it has to wait, or failed, and the job is open again for a later look. */
async function accessOf(installation: Installation, job: Job, owner: string): Promise<JobSecrets | null> {
  const attempt = attemptOf(job, owner);
  try {
    return await secretsOf(installation, job.sessionId, job.spec);
  } catch (error) {
    if (error instanceof AccessWaits) await installation.queue.putBack(attempt);
    else await installation.queue.fail(attempt, toFailure(error));
    return null;
  }
}

const attemptOf = ({ pool, sessionId, id: jobId, attempt }: Job, owner: string) => ({
  pool,
  sessionId,
  jobId,
  attempt,
  owner,
});

async function runClaimed(
  installation: Installation,
  job: Job,
  owner: string,
  secrets: JobSecrets,
): Promise<void> {
  const { queue, clock } = installation;
  const attempt = attemptOf(job, owner);
  const stop = new AbortController();
  const told: { progress: JobProgress; checkpoint?: unknown } = { progress: job.progress };
  const tell = async () => {
    const { answer } = await queue.renew(attempt, told);
    if (answer !== 'ok') stop.abort(new Error(`the claim of job ${job.id} is ${answer}`));
  };
  const heart = beat(clock, tell, stop);
  try {
    const result = await runJob(job.spec, {
      ...connect(installation, job, secrets),
      attempt: job.attempt,
      checkpoint: job.checkpoint ?? undefined,
      saveCheckpoint: async (state) => {
        told.checkpoint = state;
        await tell();
      },
      progress: (progress) => {
        told.progress = progress;
      },
      signal: stop.signal,
    });
    await queue.complete(attempt, result);
  } catch (error) {
    if (!stop.signal.aborted) await queue.fail(attempt, toFailure(error));
  } finally {
    stop.abort();
    await heart;
  }
}

/** Renews the claim until stopped. A renewal that fails is tried again at the next beat: the claim lasts for several. */
async function beat(
  clock: Installation['clock'],
  tell: () => Promise<void>,
  stop: AbortController,
): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await clock.sleep(HEARTBEAT_SECONDS * 1000, stop.signal);
      await tell();
    } catch {
      // Stopped, or a passing fault.
    }
  }
}

function connect(
  { azure }: Installation,
  { spec }: Job,
  secrets: JobSecrets,
): Pick<JobIo, 'chainKey' | 'data' | 'staging' | 'source' | 'lists' | 'sink'> {
  const { sourceUrl, baseUrl, targetUrl } = secrets;
  const disk =
    sourceUrl === null ? null : azure.disks.open({ sourceUrl, baseUrl, sizeBytes: spec.sizeBytes });
  return {
    chainKey: Buffer.from(secrets.chainKey, 'base64'),
    data: AzureBlobStore.withSas(secrets.dataUrl),
    staging: AzureBlobStore.withSas(secrets.stagingUrl),
    ...(disk ? { source: disk, lists: disk } : {}),
    ...(targetUrl === null ? {} : { sink: new UploadDisk({ targetUrl, sizeBytes: spec.sizeBytes }) }),
  };
}
