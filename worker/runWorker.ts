import { threadMeter } from '../lib/azure/throttleMeter.ts';
import type { JobIo, LaneThreads } from '../lib/datapath/index.ts';
import {
  type ClaimAnswer,
  type Clock,
  type Failure,
  type JobResult,
  type JobSpec,
  toFailure,
} from '../lib/model/index.ts';
import { redact } from '../lib/telemetry/redact.ts';
import { Access } from './access.ts';
import { type AppClient, type AttemptOf, persist } from './appClient.ts';
import { type Beat, type Heartbeat, Stopped } from './heartbeat.ts';
import { openPlaces } from './jobIo.ts';
import { laneAccess } from './lanes.ts';
import { log } from './log.ts';

export interface WorkerParts {
  readonly app: AppClient;
  readonly heartbeat: Heartbeat;
  readonly clock: Clock;
  readonly runJob: (spec: JobSpec, io: JobIo) => Promise<JobResult>;
  /** For the heavy part of jobs; without any it runs in this thread. */
  readonly threads?: LaneThreads;
  /** Aborted to end the worker: after the running job was given back. */
  readonly stop: AbortSignal;
  readonly interruptMs: number;
}

type ClaimedJob = NonNullable<ClaimAnswer['job']>;

/** The app is asked for work no sooner than this after a job failed, doubled with each failure in a row. */
const FAILED_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;
/** How long the worker that ends tries to give its job back. */
const LAST_CALL_MS = 10_000;

/** Claims and does jobs, one at a time, until the app drains the worker or `stop` is aborted. */
export async function runWorker(parts: WorkerParts): Promise<void> {
  const { app, clock, stop } = parts;
  let failures = 0;
  try {
    for (;;) {
      const answer = await persist(clock, stop, () => app.claim(stop));
      if (answer.drain) return log('info', 'worker.drained');
      if (!answer.job) {
        await clock.sleep(answer.retryAfterSeconds * 1000, stop);
        continue;
      }
      failures = (await work(parts, answer.job)) ? 0 : failures + 1;
      if (failures > 0) {
        await clock.sleep(Math.min(FAILED_WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS), stop);
      }
    }
  } catch (error) {
    if (!stop.aborted) throw error;
    log('info', 'worker.stopped');
  }
}

/** Does one job and tells the app how it ended; false if it failed here. */
async function work(parts: WorkerParts, job: ClaimedJob): Promise<boolean> {
  const { sessionId, jobId, attempt, spec, secrets } = job;
  const of: AttemptOf = { sessionId, jobId, attempt };
  const about = { ...of, kind: spec.kind, disk: spec.disk };
  log('info', 'job.started', about);
  const access: Access = new Access(secrets, () => beat.refresh());
  const beat = parts.heartbeat.begin(of, secrets, (fresh) => access.update(fresh));
  const started = parts.clock.now().getTime();
  try {
    const result = await run(parts, job, access, beat);
    const signal = AbortSignal.any([parts.stop, beat.signal]);
    const { gone } = await persist(parts.clock, signal, () => parts.app.complete(of, result));
    const seconds = Math.round((parts.clock.now().getTime() - started) / 1000);
    log('info', gone ? 'job.gone' : 'job.completed', { ...about, seconds });
    return true;
  } catch (error) {
    return await giveUp(parts, of, error, beat, about);
  } finally {
    beat.end();
  }
}

async function run(
  { runJob, threads, stop, interruptMs }: WorkerParts,
  { spec, attempt, checkpoint }: ClaimedJob,
  access: Access,
  beat: Beat,
): Promise<JobResult> {
  const places = openPlaces(spec, access);
  const signal = AbortSignal.any([stop, beat.signal]);
  // The threads of lanes count for themselves.
  const meter = threadMeter();
  const refused = { calls: -meter.calls, seconds: -meter.seconds };
  const running = runJob(spec, {
    ...places,
    lanes: threads?.forJob(laneAccess(spec, access)),
    attempt,
    checkpoint,
    saveCheckpoint: (state) => beat.saveCheckpoint(state),
    progress: (progress) => beat.progress(progress),
    refused: (calls, seconds) => {
      refused.calls += calls;
      refused.seconds += seconds;
    },
    signal,
  }).finally(() => places.chainKey.fill(0));
  const result = await untilStop(running, stop, interruptMs);
  refused.calls += meter.calls;
  refused.seconds += meter.seconds;
  return refused.calls > 0 ? { ...result, refused } : result;
}

/**
 * The worker's own end does not wait long for a job that does not stop. Any other stop does: two jobs at a time are too many, and the
 * heartbeat sees to it that it ends.
 */
function untilStop<T>(running: Promise<T>, stop: AbortSignal, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const last = () => setTimeout(() => reject(stop.reason as Error), ms);
    if (stop.aborted) last();
    else stop.addEventListener('abort', last, { once: true });
    running.then(resolve, reject).finally(() => stop.removeEventListener('abort', last));
  });
}

/** Ends the attempt in the app's eyes too, unless the app knows. */
async function giveUp(
  parts: WorkerParts,
  of: AttemptOf,
  error: unknown,
  beat: Beat,
  about: Readonly<Record<string, string | number>>,
): Promise<boolean> {
  const { app, clock, stop } = parts;
  const stopped: unknown = beat.signal.reason;
  const reason = stopped instanceof Stopped ? stopped.reason : null;
  if (reason === 'gone' || reason === 'cancel' || reason === 'lost') {
    log('info', `job.${reason}`, about);
    return true;
  }
  const told = stop.aborted ? interrupted : reason ? stuck(stopped as Stopped) : toFailure(error);
  const failure = { ...told, message: redact(told.message) };
  log('warning', 'job.failed', { ...about, code: failure.code, message: failure.message });
  // A job that stalled is renewed no more: after its claim has run out there is nothing left to tell.
  const limit = AbortSignal.timeout(stop.aborted ? LAST_CALL_MS : 2 * LONGEST_WAIT_MS);
  const signal = reason ? limit : AbortSignal.any([limit, beat.signal]);
  try {
    await persist(clock, signal, () => app.fail(of, failure));
  } catch (late) {
    log('warning', 'job.unreported', { ...about, message: toFailure(late).message });
  }
  return false;
}

const interrupted: Failure = {
  code: 'abandoned',
  message: 'The worker was told to end.',
  retryable: true,
};

const stuck = ({ reason, message }: Stopped): Failure => ({
  code: reason === 'refused' ? 'internal' : 'timeout',
  message,
  retryable: true,
});
