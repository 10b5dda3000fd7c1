import { type MessagePort, parentPort } from 'node:worker_threads';
import { isHoldfastError, type RenewAnswer } from '../lib/model/index.ts';
import { AppClient, type AttemptOf, identityToken } from './appClient.ts';
import type { About, FromHeartbeat, HeartbeatData, StopReason, ToHeartbeat } from './heartbeatProtocol.ts';
import { log } from './log.ts';
import type { WorkerSettings } from './settings.ts';

/** Wait after a renewal that failed; a claim lasts many of them. */
const RETRY_MS = 3_000;
/** Secrets are asked for anew so long before they expire. */
const REFRESH_MS = 10 * 60_000;

/** Runs in the heartbeat's own thread until the process ends. */
export function runHeartbeatThread({ settings, progress }: HeartbeatData): void {
  if (!parentPort) throw new Error('The heartbeat runs in a thread of the worker.');
  const app = new AppClient(settings.appUrl, identityToken(settings.audience));
  new HeartbeatThread(parentPort, app, settings, new BigInt64Array(progress)).listen();
}

/**
 * Keeps the claim of the job that runs in the main thread, also while that is blocked: a renewal every 15 s, and at once for a
 * checkpoint or fresh secrets.
 *
 * It does not keep a stuck job alive. A job shows that it lives by progress that changes, or by a checkpoint; after `stallMs` without
 * either it is told to stop and renewed no more. And a job that was told to stop, for whatever reason, has `graceMs` to do so: then this
 * thread kills the process, and the unit starts a new one.
 */
class HeartbeatThread {
  readonly #port: MessagePort;
  readonly #app: AppClient;
  readonly #settings: WorkerSettings;
  readonly #progress: BigInt64Array;
  #job = 0;
  #attempt: AttemptOf | null = null;
  #expiresAt = Number.POSITIVE_INFINITY;
  #checkpoint: { number: number; state: unknown } | null = null;
  #refresh: number | null = null;
  /** Times of this thread's own clock, which nobody sets. */
  #claimedAt = 0;
  #livedAt = 0;
  #lastSeen = '';
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #again = false;
  #doom: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, app: AppClient, settings: WorkerSettings, progress: BigInt64Array) {
    this.#port = port;
    this.#app = app;
    this.#settings = settings;
    this.#progress = progress;
  }

  listen(): void {
    this.#port.on('message', ({ job, message }: About<ToHeartbeat>) => this.#take(job, message));
  }

  #take(job: number, message: ToHeartbeat): void {
    if (message.kind === 'begin') {
      this.#begin(job, message.attempt, message.expiresAt);
    } else if (job !== this.#job) {
      return;
    } else if (message.kind === 'end') {
      this.#end();
    } else if (message.kind === 'checkpoint') {
      this.#checkpoint = { number: message.number, state: message.state };
      this.#livedAt = performance.now();
      this.#wake();
    } else {
      this.#refresh = message.number;
      this.#wake();
    }
  }

  #begin(job: number, attempt: AttemptOf, expiresAt: string): void {
    this.#end();
    this.#job = job;
    this.#attempt = attempt;
    this.#expiresAt = Date.parse(expiresAt);
    this.#claimedAt = performance.now();
    this.#livedAt = this.#claimedAt;
    this.#lastSeen = String(this.#progress);
    this.#schedule(this.#settings.heartbeatMs);
  }

  #end(): void {
    this.#attempt = null;
    this.#checkpoint = null;
    this.#refresh = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#doom);
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#wake(), ms);
  }

  /** One renewal at a time; what is asked for during one is told by the next. */
  #wake(): void {
    if (this.#busy) this.#again = true;
    else void this.#beat();
  }

  async #beat(): Promise<void> {
    this.#busy = true;
    try {
      do {
        this.#again = false;
        await this.#renew();
      } while (this.#again);
    } finally {
      this.#busy = false;
    }
  }

  async #renew(): Promise<void> {
    const attempt = this.#attempt;
    if (!attempt || this.#stalled()) return;
    const [job, checkpoint, refresh] = [this.#job, this.#checkpoint, this.#refresh];
    const sent = performance.now();
    const [doneBytes = 0, readBytes = 0, storedBytes = 0] = [...this.#progress].map(Number);
    const told = {
      progress: { doneBytes, readBytes, storedBytes },
      ...(checkpoint ? { checkpoint: checkpoint.state } : {}),
      refresh: refresh !== null || Date.now() >= this.#expiresAt - REFRESH_MS,
    };
    try {
      const answer = await this.#app.renew(attempt, told);
      if (job !== this.#job || this.#attempt === null) return;
      this.#renewed(answer, sent, checkpoint, refresh, told.refresh);
    } catch (error) {
      if (job !== this.#job || this.#attempt === null) return;
      this.#missed(error);
    }
  }

  #renewed(
    answer: RenewAnswer,
    sent: number,
    checkpoint: { number: number } | null,
    refresh: number | null,
    asked: boolean,
  ): void {
    if (answer.gone) return this.#stop('gone', 'The attempt is not this worker’s any more.');
    if (answer.cancel) return this.#stop('cancel', 'The session was cancelled.');
    this.#claimedAt = sent;
    if (checkpoint) {
      if (this.#checkpoint?.number === checkpoint.number) this.#checkpoint = null;
      this.#say({ kind: 'saved', number: checkpoint.number });
    }
    if (answer.secrets) this.#expiresAt = Date.parse(answer.secrets.expiresAt);
    if (asked) {
      if (this.#refresh === refresh) this.#refresh = null;
      this.#say({ kind: 'secrets', number: refresh ?? 0, secrets: answer.secrets });
    }
    this.#schedule(this.#settings.heartbeatMs);
  }

  #missed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (isHoldfastError(error, 'invalidInput')) return this.#stop('refused', message);
    if (performance.now() - this.#claimedAt >= this.#settings.claimMs) return this.#stop('lost', message);
    log('warning', 'heartbeat.missed', { message });
    this.#schedule(Math.min(RETRY_MS, this.#settings.heartbeatMs));
  }

  #stalled(): boolean {
    const now = performance.now();
    const seen = String(this.#progress);
    if (seen !== this.#lastSeen) {
      this.#lastSeen = seen;
      this.#livedAt = now;
    }
    if (now - this.#livedAt < this.#settings.stallMs) return false;
    this.#stop('stalled', `No progress in ${Math.round((now - this.#livedAt) / 1000)} s.`);
    return true;
  }

  #stop(reason: StopReason, message: string): void {
    this.#attempt = null;
    clearTimeout(this.#timer);
    this.#say({ kind: 'stop', reason, message });
    this.#doom = setTimeout(() => {
      log('error', 'job.stuck', {
        reason,
        message: 'The job did not stop when told to; the process is killed.',
      });
      process.kill(process.pid, 'SIGKILL');
    }, this.#settings.graceMs);
  }

  #say(message: FromHeartbeat): void {
    this.#port.postMessage({ job: this.#job, message } satisfies About<FromHeartbeat>, []);
  }
}
