import { Worker as Thread } from 'node:worker_threads';
import { HoldfastError, type JobProgress, type JobSecrets } from '../lib/model/index.ts';
import type { AttemptOf } from './appClient.ts';
import {
  type About,
  type FromHeartbeat,
  HEARTBEAT_THREAD,
  type HeartbeatData,
  PROGRESS_BYTES,
  type StopReason,
  type ToHeartbeat,
} from './heartbeatProtocol.ts';
import type { WorkerSettings } from './settings.ts';

/** Why the heartbeat made a job stop; the reason of its signal. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
  readonly reason: StopReason;

  constructor(reason: StopReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** One job's claim, kept until `end`. */
export interface Beat {
  /** Aborted with `Stopped`. */
  readonly signal: AbortSignal;
  progress(progress: JobProgress): void;
  /** Resolves when the app keeps this state, or a newer one. */
  saveCheckpoint(state: unknown): Promise<void>;
  /** Fresh secrets. `accessExpired` when the app has none to give. */
  refresh(): Promise<JobSecrets>;
  end(): void;
}

/** The main thread's end of the heartbeat. `broken` is called if its thread ends: nothing may be claimed without it. */
export class Heartbeat {
  readonly #thread: Thread;
  readonly #progress: BigInt64Array;
  #job = 0;
  #current: Running | null = null;

  /** `entry`: the module to run in the thread; it calls `runHeartbeatThread` when it finds `HeartbeatData`. */
  constructor(entry: URL, settings: WorkerSettings, broken: (error: Error) => void) {
    const shared = new SharedArrayBuffer(PROGRESS_BYTES);
    this.#progress = new BigInt64Array(shared);
    const workerData: HeartbeatData = { role: HEARTBEAT_THREAD, settings, progress: shared };
    this.#thread = new Thread(entry, { workerData });
    this.#thread.on('message', ({ job, message }: About<FromHeartbeat>) => {
      if (job === this.#job) this.#current?.take(message);
    });
    this.#thread.on('error', (error) => broken(error instanceof Error ? error : new Error(String(error))));
    this.#thread.on('exit', () => broken(new Error('The heartbeat thread ended.')));
  }

  begin(attempt: AttemptOf, secrets: JobSecrets, known: (secrets: JobSecrets) => void): Beat {
    const job = ++this.#job;
    this.#report({ doneBytes: 0, readBytes: 0, storedBytes: 0 });
    const say = (message: ToHeartbeat) => {
      if (job === this.#job) this.#thread.postMessage({ job, message } satisfies About<ToHeartbeat>, []);
    };
    const running = new Running(say, known);
    this.#current = running;
    say({ kind: 'begin', attempt, expiresAt: secrets.expiresAt });
    return {
      signal: running.signal,
      progress: (progress) => this.#report(progress),
      saveCheckpoint: (state) => running.saveCheckpoint(state),
      refresh: () => running.refresh(),
      end: () => {
        say({ kind: 'end' });
        running.end();
      },
    };
  }

  #report({ doneBytes, readBytes, storedBytes }: JobProgress): void {
    for (const [at, bytes] of [doneBytes, readBytes, storedBytes].entries()) {
      Atomics.store(this.#progress, at, BigInt(Math.trunc(bytes)));
    }
  }
}

interface Waiter<T> {
  readonly number: number;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** What a running job waits for from the heartbeat's thread. */
class Running {
  readonly #abort = new AbortController();
  readonly #say: (message: ToHeartbeat) => void;
  readonly #known: (secrets: JobSecrets) => void;
  #number = 0;
  #saves: Waiter<void>[] = [];
  #refreshes: Waiter<JobSecrets>[] = [];

  constructor(say: (message: ToHeartbeat) => void, known: (secrets: JobSecrets) => void) {
    this.#say = say;
    this.#known = known;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  saveCheckpoint(state: unknown): Promise<void> {
    return this.#ask(this.#saves, (number) => ({ kind: 'checkpoint', number, state }));
  }

  refresh(): Promise<JobSecrets> {
    return this.#ask(this.#refreshes, (number) => ({ kind: 'refresh', number }));
  }

  take(message: FromHeartbeat): void {
    if (message.kind === 'stop') {
      const stopped = new Stopped(message.reason, message.message);
      this.#abort.abort(stopped);
      this.#giveUp(stopped);
    } else if (message.kind === 'saved') {
      const { number } = message;
      for (const waiter of this.#saves.filter((one) => one.number <= number)) waiter.resolve();
      this.#saves = this.#saves.filter((one) => one.number > number);
    } else {
      const { number, secrets } = message;
      if (secrets) this.#known(secrets);
      for (const waiter of this.#refreshes.filter((one) => one.number <= number)) {
        if (secrets) waiter.resolve(secrets);
        else waiter.reject(new HoldfastError('accessExpired', 'The app gave no fresh access to the data.'));
      }
      this.#refreshes = this.#refreshes.filter((one) => one.number > number);
    }
  }

  end(): void {
    this.#giveUp(new Error('The job has ended.'));
  }

  #ask<T>(waiters: Waiter<T>[], message: (number: number) => ToHeartbeat): Promise<T> {
    if (this.signal.aborted) return Promise.reject(this.signal.reason as Error);
    const number = ++this.#number;
    const answer = new Promise<T>((resolve, reject) => waiters.push({ number, resolve, reject }));
    this.#say(message(number));
    return answer;
  }

  #giveUp(why: unknown): void {
    for (const waiter of [...this.#saves, ...this.#refreshes]) waiter.reject(why);
    this.#saves = [];
    this.#refreshes = [];
  }
}
