import type { Failure, Job, JobKind, JobProgress, JobResult } from '../model/index.ts';

/** The jobs of a session at a moment. */
export interface QueueStatus {
  readonly open: number;
  /** Being done, in time. */
  readonly claimed: number;
  /** Claimed, and the worker has been silent for too long: whoever asks next gets them. */
  readonly expired: number;
  readonly done: number;
  readonly poisoned: number;
  readonly cancelled: number;
  /** No job is open or claimed any more. */
  readonly ended: boolean;
  /** One line a job, in order of ids; `doneBytes` and so on are the last attempt's. */
  readonly jobs: readonly {
    readonly id: string;
    readonly kind: JobKind;
    readonly disk: number;
    readonly state: Job['state'];
    readonly attempt: number;
    readonly progress: JobProgress;
  }[];
  readonly results: readonly { readonly id: string; readonly disk: number; readonly result: JobResult }[];
  /** What poisoned jobs died of, all reasons in the message. */
  readonly failures: readonly Failure[];
  /** What single attempts of poisoned jobs failed with. */
  readonly attempts: readonly Failure[];
}

export function summarise(jobs: readonly Job[], now: Date): QueueStatus {
  const count = (state: Job['state']) => jobs.filter((job) => job.state === state).length;
  const late = jobs.filter(
    ({ state, until }) => state === 'claimed' && (until === null || Date.parse(until) <= now.getTime()),
  ).length;
  return {
    open: count('open'),
    claimed: count('claimed') - late,
    expired: late,
    done: count('done'),
    poisoned: count('poisoned'),
    cancelled: count('cancelled'),
    ended: count('open') + count('claimed') === 0,
    jobs: jobs.map(({ id, spec, state, attempt, progress }) => ({
      id,
      kind: spec.kind,
      disk: spec.disk,
      state,
      attempt,
      progress,
    })),
    results: jobs.flatMap(({ id, spec, result }) => (result ? [{ id, disk: spec.disk, result }] : [])),
    failures: jobs.filter(({ state }) => state === 'poisoned').map(poison),
    attempts: jobs.filter(({ state }) => state === 'poisoned').flatMap(({ failures }) => failures),
  };
}

/** Why a poisoned job is: every attempt with its worker and its reason. */
function poison(job: Job): Failure {
  const reasons = job.failures.map(
    ({ attempt, owner, code, message }) => `attempt ${attempt} on ${owner}: ${code}: ${message}`,
  );
  return {
    code: 'jobPoisoned',
    message: `Job ${job.id} failed ${job.failures.length} times: ${reasons.join('; ')}`,
    target: job.id,
    retryable: false,
  };
}
