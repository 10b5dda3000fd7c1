/** What may happen to a job, decided on the row alone: pure, so that every order of events can be tried. */
import {
  CLAIM_SECONDS,
  type Failure,
  HoldfastError,
  type Job,
  type JobProgress,
  type JobResult,
  MAX_ATTEMPTS,
} from '../model/index.ts';

/** Longest message kept of a failed attempt, in characters; longest checkpoint, in bytes of JSON. */
const MESSAGE_CHARS = 1000;
const MAX_CHECKPOINT_BYTES = 8 * 1024;

export const untilAfter = (now: Date): string => new Date(now.getTime() + CLAIM_SECONDS * 1000).toISOString();

const expired = (job: Job, now: Date): boolean =>
  job.state === 'claimed' && (job.until === null || Date.parse(job.until) <= now.getTime());

/** The attempt is the caller's and still runs, or ran out and nobody took the job since. */
const isCurrent = (job: Job, owner: string, attempt: number): boolean =>
  job.state === 'claimed' && job.owner === owner && job.attempt === attempt;

/** Ends the running attempt as failed: open again, or poisoned after the last. */
function failed(job: Job, failure: Failure): Job {
  const { code, message, target, retryable } = failure;
  const attempt = {
    attempt: Math.max(job.attempt, 1),
    owner: job.owner ?? 'nobody',
    code,
    message: message.slice(0, MESSAGE_CHARS),
    ...(target === undefined ? {} : { target: target.slice(0, MESSAGE_CHARS) }),
    retryable,
  };
  const state = job.attempt >= MAX_ATTEMPTS ? 'poisoned' : 'open';
  return { ...job, state, owner: null, until: null, failures: [...job.failures, attempt] };
}

/** A claimed job whose owner has been silent for too long, or has asked for work again: that attempt has failed. */
export function settled(job: Job, now: Date, asking?: string): Job {
  if (expired(job, now)) {
    return failed(job, {
      code: 'timeout',
      message: `Worker ${job.owner} was silent for ${CLAIM_SECONDS} s.`,
      retryable: true,
    });
  }
  if (job.state === 'claimed' && asking !== undefined && job.owner === asking) {
    return failed(job, {
      code: 'abandoned',
      message: `Worker ${job.owner} asked for work again without having ended the job.`,
      retryable: true,
    });
  }
  return job;
}

/** The job as it is when `owner` takes it now; null when there is nothing to take. A poisoned job comes back as such, to be written. */
export function claimed(job: Job, owner: string, now: Date): Job | null {
  const free = settled(job, now, owner);
  if (free.state === 'open') {
    return {
      ...free,
      state: 'claimed',
      owner,
      attempt: free.attempt + 1,
      until: untilAfter(now),
      progress: { doneBytes: 0, readBytes: 0, storedBytes: 0 },
    };
  }
  return free === job ? null : free;
}

export type Renewal = 'ok' | 'gone' | 'cancel';

/** Extends the claim and keeps what the worker tells. `checkpoint` undefined: the one before stays. */
export function renewed(
  job: Job,
  caller: { owner: string; attempt: number },
  told: { progress: JobProgress; checkpoint?: unknown },
  now: Date,
): { answer: Renewal; job: Job } {
  if (isCurrent(job, caller.owner, caller.attempt)) {
    const checkpoint = told.checkpoint === undefined ? job.checkpoint : checked(job, told.checkpoint);
    return { answer: 'ok', job: { ...job, progress: told.progress, checkpoint, until: untilAfter(now) } };
  }
  const cancelled = job.state === 'cancelled' && job.attempt === caller.attempt;
  return { answer: cancelled ? 'cancel' : 'gone', job };
}

/** The result of the running attempt ends the job. Told again, it is ok again; anybody else's comes too late. */
export function completed(
  job: Job,
  caller: { owner: string; attempt: number },
  result: JobResult,
): { gone: boolean; job: Job } {
  if (result.kind !== job.spec.kind) {
    throw new HoldfastError(
      'invalidInput',
      `A ${result.kind} result does not end ${job.spec.kind} job ${job.id}.`,
      {
        target: job.id,
      },
    );
  }
  if (isCurrent(job, caller.owner, caller.attempt)) {
    return { gone: false, job: { ...job, state: 'done', until: null, result } };
  }
  const again = job.state === 'done' && job.owner === caller.owner && job.attempt === caller.attempt;
  return { gone: !again, job };
}

/** The running attempt has failed, whatever the failure says of itself: a next attempt, on another worker, may do better. */
export function gaveUp(
  job: Job,
  caller: { owner: string; attempt: number },
  failure: Failure,
): { gone: boolean; job: Job } {
  if (isCurrent(job, caller.owner, caller.attempt)) return { gone: false, job: failed(job, failure) };
  const told = job.failures.some((one) => one.attempt === caller.attempt && one.owner === caller.owner);
  const cancelled = job.state === 'cancelled' && job.attempt === caller.attempt;
  return { gone: !told && !cancelled, job };
}

/** The running attempt never began: its turn has not come. The next one has its number, since this one has written nothing. */
export const putBack = (job: Job, caller: { owner: string; attempt: number }): Job =>
  isCurrent(job, caller.owner, caller.attempt)
    ? { ...job, state: 'open', owner: null, until: null, attempt: job.attempt - 1 }
    : job;

/** What has not ended is cancelled; a worker that is at it is told when it renews. */
export const cancelled = (job: Job): Job =>
  job.state === 'open' || job.state === 'claimed' ? { ...job, state: 'cancelled', until: null } : job;

function checked(job: Job, checkpoint: unknown): unknown {
  const bytes = Buffer.byteLength(JSON.stringify(checkpoint) ?? 'null');
  if (bytes <= MAX_CHECKPOINT_BYTES) return checkpoint;
  throw new HoldfastError(
    'invalidInput',
    `The checkpoint of job ${job.id} takes ${bytes} bytes; ${MAX_CHECKPOINT_BYTES} is the most.`,
    { target: job.id },
  );
}
