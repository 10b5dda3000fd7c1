import type { z } from 'zod';
import type { WorkerRow } from '../../catalog/index.ts';
import type { Installation } from '../../installation/index.ts';
import {
  type ClaimAnswer,
  type claimRequestSchema,
  type completeRequestSchema,
  type endAnswerSchema,
  type failRequestSchema,
  HoldfastError,
  type packageAnswerSchema,
  type RenewAnswer,
  type renewRequestSchema,
} from '../../model/index.ts';
import { type Attempt, admission, identify } from '../../workers/index.ts';
import { AccessWaits, forgetAccess } from '../access.ts';
import { secretsOf } from './secrets.ts';

/** How long a worker waits before it asks for work again. */
const IDLE_SECONDS = 2;
/** And how long while its session waits for access to a snapshot. */
const WAIT_SECONDS = 10;
const PACKAGE_SAS_SECONDS = 600;

type Ask<T extends z.ZodType> = z.infer<T>;

/** Which worker calls: its token's identity must be that of a VM which ARM told us is ours. */
export async function recognise(
  installation: Installation,
  authorization: string | null,
): Promise<WorkerRow> {
  const caller = await installation.workerTokens.verify(authorization);
  return identify(installation.catalog.workers, caller);
}

/** A worker asks for work. It gets a job of the session that holds it, with the secrets of that job only. */
export async function claimJob(
  installation: Installation,
  caller: WorkerRow,
  { schemaVersion }: Ask<typeof claimRequestSchema>,
): Promise<ClaimAnswer> {
  const nothing = (drain: boolean): ClaimAnswer => ({ drain, retryAfterSeconds: IDLE_SECONDS, job: null });
  const admitted = admission(caller, schemaVersion);
  if (admitted.kind === 'drain') return nothing(true);
  const worker = await installation.fleet.seen(caller);
  if (admitted.kind !== 'work') return nothing(false);
  const { sessionId } = admitted;
  if (await isOver(installation, sessionId)) return nothing(false);
  const owner = installation.fleet.nameOf(worker);
  const job = await installation.queue.claim(owner, { pool: worker.pool, sessionId });
  if (!job) return nothing(false);
  try {
    const secrets = await secretsOf(installation, sessionId, job.spec);
    const { id: jobId, attempt, spec, checkpoint, until } = job;
    return {
      drain: false,
      retryAfterSeconds: IDLE_SECONDS,
      job: { sessionId, jobId, attempt, spec, checkpoint, until: until ?? '', secrets },
    };
  } catch (error) {
    const attempt = { pool: worker.pool, sessionId, jobId: job.id, attempt: job.attempt, owner };
    if (error instanceof AccessWaits) {
      await installation.queue.putBack(attempt);
      return { ...nothing(false), retryAfterSeconds: WAIT_SECONDS };
    }
    // Without access the attempt has failed before it began; the job is open again, for somebody who comes later.
    await giveBack(installation, attempt, error);
    throw error;
  }
}

export async function renewJob(
  installation: Installation,
  caller: WorkerRow,
  { sessionId, jobId, attempt, progress, checkpoint, refresh }: Ask<typeof renewRequestSchema>,
): Promise<RenewAnswer> {
  await installation.fleet.seen(caller);
  const told = { progress, ...(checkpoint === undefined ? {} : { checkpoint }) };
  const { answer, until, job } = await installation.queue.renew(
    attemptOf(installation, caller, { sessionId, jobId, attempt }),
    told,
  );
  const over = answer === 'ok' && (await isOver(installation, sessionId));
  const renewed: RenewAnswer = {
    gone: answer === 'gone',
    cancel: answer === 'cancel' || over,
    until,
    secrets: null,
  };
  if (!refresh || !job || answer !== 'ok' || over) return renewed;
  // The worker was refused, or is about to be: what this process remembers may be revoked.
  if (job.spec.kind === 'restore') forgetAccess(installation, job.spec.targetDiskId);
  else forgetAccess(installation, job.spec.snapshotId);
  if (job.spec.kind === 'plan' && job.spec.baseSnapshotId !== null)
    forgetAccess(installation, job.spec.baseSnapshotId);
  return { ...renewed, secrets: await secretsOf(installation, sessionId, job.spec) };
}

export async function completeJob(
  installation: Installation,
  caller: WorkerRow,
  { result, ...call }: Ask<typeof completeRequestSchema>,
): Promise<Ask<typeof endAnswerSchema>> {
  return installation.queue.complete(attemptOf(installation, caller, call), result);
}

export async function failJob(
  installation: Installation,
  caller: WorkerRow,
  { failure, ...call }: Ask<typeof failRequestSchema>,
): Promise<Ask<typeof endAnswerSchema>> {
  return installation.queue.fail(attemptOf(installation, caller, call), failure);
}

/** Where a booting worker finds its program: the newest package that the deployment put there. */
export async function findPackage(installation: Installation): Promise<Ask<typeof packageAnswerSchema>> {
  const { settings, azure, packages } = installation;
  let newest: { name: string; lastModified: Date } | null = null;
  for await (const blob of packages.list('worker-'))
    if (!newest || blob.lastModified > newest.lastModified) newest = blob;
  const digest = /^worker-([0-9a-f]{64})\.tgz$/.exec(newest?.name ?? '')?.[1];
  if (!newest || digest === undefined) {
    throw new HoldfastError(
      'notConfigured',
      `There is no worker package in ${packages.name}. Deploy the app anew; the deployment puts it there.`,
      {
        target: packages.name,
      },
    );
  }
  const { url } = await azure.appSas.forReading(
    settings.HOLDFAST_PACKAGE_CONTAINER,
    newest.name,
    PACKAGE_SAS_SECONDS,
  );
  return { digest, url };
}

async function giveBack(installation: Installation, attempt: Attempt, error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof HoldfastError ? error.code : 'internal';
  await installation.queue.fail(attempt, {
    code,
    message: `no access to the data: ${message}`,
    retryable: true,
  });
}

/** A session that has ended, or is to be cancelled, gives out no more work and no more secrets. */
async function isOver({ catalog }: Installation, sessionId: string): Promise<boolean> {
  const session = await catalog.sessions.get(sessionId);
  return session?.status !== 'running' || session.cancelRequested;
}

const attemptOf = (
  { fleet }: Installation,
  caller: WorkerRow,
  { sessionId, jobId, attempt }: { sessionId: string; jobId: string; attempt: number },
): Attempt => ({ pool: caller.pool, sessionId, jobId, attempt, owner: fleet.nameOf(caller) });
