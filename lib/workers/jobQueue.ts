import { isDeepStrictEqual } from 'node:util';
import type { Jobs, Versioned } from '../catalog/index.ts';
import {
  type Clock,
  type Failure,
  isHoldfastError,
  type Job,
  type JobProgress,
  type JobResult,
  type JobSpec,
} from '../model/index.ts';
import { redact } from '../telemetry/redact.ts';
import {
  cancelled,
  claimed,
  completed,
  gaveUp,
  putBack,
  type Renewal,
  renewed,
  settled,
  untilAfter,
} from './jobDecisions.ts';
import { type QueueStatus, summarise } from './queueStatus.ts';

/** Whose attempt a call is about. `owner` is the worker's name, by its token; the rest it sends. */
export interface Attempt {
  readonly pool: string;
  readonly sessionId: string;
  readonly jobId: string;
  readonly attempt: number;
  readonly owner: string;
}

/**
 * The jobs of sessions and who does them. A job is claimed by one worker at a time; every transition is one write under the row's
 * etag, and who loses it decides anew on what the winner wrote. A worker does one job at a time: one that asks for work while it
 * has a job has lost that job (it was restarted, or never got the answer), which counts as a failed attempt.
 *
 * Not promised: that an attempt has stopped when the next one begins. What a job writes is named by its attempt, or the same
 * whoever writes it.
 */
export class JobQueue {
  readonly #jobs: Jobs;
  readonly #clock: Clock;

  constructor(jobs: Jobs, clock: Clock) {
    this.#jobs = jobs;
    this.#clock = clock;
  }

  /** Adds jobs of a session, open. A job that is there already stays as it is, so that this may be called again. */
  async addJobs(
    pool: string,
    sessionId: string,
    jobs: readonly { readonly id: string; readonly spec: JobSpec }[],
  ): Promise<void> {
    for (let at = 0; at < jobs.length; at += 16) {
      await Promise.all(
        jobs.slice(at, at + 16).map(({ id, spec }) => this.#add(fresh(pool, sessionId, id, spec))),
      );
    }
  }

  /** Gives `owner` a job of the session: one that is open, or whose attempt ran out. Null: nothing to do now. */
  async claim(owner: string, { pool, sessionId }: { pool: string; sessionId: string }): Promise<Job | null> {
    for await (const seen of this.#jobs.ofSession(pool, sessionId)) {
      let current: Versioned<Job> | null = seen;
      while (current) {
        const next = claimed(current.value, owner, this.#clock.now());
        if (!next) break;
        const written = await this.#tryWrite(next, current.etag);
        if (written && next.state === 'claimed') return next;
        if (written) break;
        current = await this.#jobs.get(seen.value);
      }
    }
    return null;
  }

  /**
   * A sign of life: extends the claim, and keeps progress and checkpoint (at most 8 KiB of JSON, else `invalidInput`). `gone`: the
   * attempt is not the caller's any more. `cancel`: the session was cancelled.
   */
  async renew(
    attempt: Attempt,
    told: { progress: JobProgress; checkpoint?: unknown },
  ): Promise<{ answer: Renewal; until: string; job: Job | null }> {
    const now = this.#clock.now();
    const outcome = await this.#decide(attempt, (job) => renewed(job, attempt, told, now));
    return { answer: outcome?.answer ?? 'gone', until: untilAfter(now), job: outcome?.job ?? null };
  }

  /** The first result wins. `gone`: it was not this one; what the attempt wrote is garbage. */
  async complete(attempt: Attempt, result: JobResult): Promise<{ gone: boolean }> {
    const outcome = await this.#decide(attempt, (job) => completed(job, attempt, result));
    return { gone: outcome?.gone ?? true };
  }

  /** The attempt failed: the job is open again, or poisoned after the fourth. */
  async fail(attempt: Attempt, failure: Failure): Promise<{ gone: boolean }> {
    const clean = { ...failure, message: redact(failure.message) };
    const outcome = await this.#decide(attempt, (job) => gaveUp(job, attempt, clean));
    return { gone: outcome?.gone ?? true };
  }

  /** The attempt could not begin, and nothing is wrong: the job is open again, as if nobody had claimed it. */
  async putBack(attempt: Attempt): Promise<void> {
    await this.#decide(attempt, (job) => ({ job: putBack(job, attempt) }));
  }

  /** Cancels what has not ended. Workers are told at their next renewal. */
  async cancelJobs(pool: string, sessionId: string): Promise<void> {
    for await (const { value } of this.#jobs.ofSession(pool, sessionId)) {
      await this.#change(value, cancelled);
    }
  }

  /** Where the jobs of a session are. A last attempt that ran out is poisoned here too: maybe nobody will ask for work again. */
  async status(pool: string, sessionId: string): Promise<QueueStatus> {
    const now = this.#clock.now();
    const jobs: Job[] = [];
    for await (const { value } of this.#jobs.ofSession(pool, sessionId)) {
      const due = settled(value, now).state === 'poisoned';
      const job = due ? await this.#change(value, (one) => settled(one, now)) : value;
      if (job) jobs.push(job);
    }
    return summarise(jobs, now);
  }

  /** Forgets the jobs of a session that has ended. */
  removeJobs(pool: string, sessionId: string): Promise<void> {
    return this.#jobs.removeSession(pool, sessionId);
  }

  async #add(job: Job): Promise<void> {
    try {
      await this.#jobs.insert(job);
    } catch (error) {
      if (!isHoldfastError(error, 'alreadyExists')) throw error;
    }
  }

  /** Null if there is no such job. */
  async #decide<A extends { job: Job }>(
    { pool, sessionId, jobId }: Attempt,
    decide: (job: Job) => A,
  ): Promise<A | null> {
    for (;;) {
      const current = await this.#jobs.get({ pool, sessionId, id: jobId });
      if (!current) return null;
      const outcome = decide(current.value);
      if (outcome.job === current.value || (await this.#tryWrite(outcome.job, current.etag))) return outcome;
    }
  }

  async #change(job: Job, change: (job: Job) => Job): Promise<Job | null> {
    const { pool, sessionId, id } = job;
    const outcome = await this.#decide({ pool, sessionId, jobId: id, attempt: 0, owner: '' }, (current) => ({
      job: change(current),
    }));
    return outcome?.job ?? null;
  }

  /** False if somebody else wrote first. What is there exactly as it was to be written is one's own first try, its answer lost. */
  async #tryWrite(job: Job, etag: string): Promise<boolean> {
    try {
      await this.#jobs.replace(job, etag);
      return true;
    } catch (error) {
      if (!isHoldfastError(error, 'preconditionFailed')) throw error;
      const there = await this.#jobs.get(job);
      return there !== null && isDeepStrictEqual(there.value, job);
    }
  }
}

const fresh = (pool: string, sessionId: string, id: string, spec: JobSpec): Job => ({
  sessionId,
  id,
  pool,
  spec,
  state: 'open',
  attempt: 0,
  owner: null,
  until: null,
  progress: { doneBytes: 0, readBytes: 0, storedBytes: 0 },
  checkpoint: null,
  failures: [],
  result: null,
});
