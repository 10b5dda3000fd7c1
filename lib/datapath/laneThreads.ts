import { availableParallelism } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';
import { fromFailure, HoldfastError, toFailure } from '../model/index.ts';
import { type FromLane, LANE_THREAD, type ToLane } from './laneProtocol.ts';
import type { Feed, LaneSetup, Lanes } from './lanes.ts';

/** More lanes than this only wait for the network, and each takes memory. */
const MOST = 16;

/** How the threads get at a job's places; `access` is what the program's own code opens them with (`runLaneThread`). */
export interface LaneAccess {
  /** As it is now. */
  current(): unknown;
  /** Called when a lane was refused with what it had: an object that `current` or `renew` gave. Many lanes may ask at once. */
  renew(refused: unknown): Promise<unknown>;
}

/** A thread for each core, kept from job to job. Each runs one lane at a time. */
export class LaneThreads {
  readonly #entry: URL;
  readonly #count: number;
  #free: LaneThread[] = [];
  readonly #all = new Set<LaneThread>();

  /** `entry`: the module that the threads run; it calls `runLaneThread` when its `workerData` is `LANE_THREAD`. */
  constructor(entry: URL, count: number = Math.min(MOST, availableParallelism())) {
    this.#entry = entry;
    this.#count = count;
  }

  /** Starts the threads, so that the first job need not wait for them. */
  start(): void {
    while (this.#all.size < this.#count) this.#free.push(this.#open());
  }

  /** The lanes of one job. */
  forJob(access: LaneAccess): Lanes {
    return {
      count: this.#count,
      run: async (setup, feed) => {
        const thread = this.#free.pop() ?? this.#open();
        try {
          await thread.run(setup, feed, access);
        } finally {
          if (this.#all.has(thread)) this.#free.push(thread);
        }
      },
    };
  }

  #open(): LaneThread {
    const thread = new LaneThread(this.#entry, () => {
      this.#all.delete(thread);
      this.#free = this.#free.filter((free) => free !== thread);
    });
    this.#all.add(thread);
    return thread;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.close()));
  }
}

interface Running {
  readonly feed: Feed;
  readonly access: LaneAccess;
  end(error: Error | null): void;
}

class LaneThread {
  readonly #thread: Thread;
  #run = 0;
  #running: Running | null = null;
  #given: unknown = null;

  constructor(entry: URL, gone: () => void) {
    this.#thread = new Thread(entry, { workerData: { role: LANE_THREAD } });
    this.#thread.on('message', (message: FromLane) => this.#take(message));
    const broken = (error: Error) => {
      gone();
      this.#running?.end(error);
    };
    this.#thread.on('error', (error) => broken(error instanceof Error ? error : new Error(String(error))));
    this.#thread.on('exit', (code) =>
      broken(
        new HoldfastError('internal', `A lane's thread ended with ${code}.`, {
          target: 'lane',
          retryable: true,
        }),
      ),
    );
    // An idle thread alone does not keep the process.
    this.#thread.unref();
  }

  run(setup: LaneSetup, feed: Feed, access: LaneAccess): Promise<void> {
    const run = ++this.#run;
    this.#thread.ref();
    return new Promise((resolve, reject) => {
      const stop = () => this.#say({ kind: 'stop', run });
      this.#running = {
        feed,
        access,
        end: (error) => {
          this.#running = null;
          this.#thread.unref();
          feed.signal.removeEventListener('abort', stop);
          if (error) reject(error);
          else resolve();
        },
      };
      this.#given = access.current();
      this.#say({ kind: 'run', run, setup, access: this.#given });
      if (feed.signal.aborted) stop();
      else feed.signal.addEventListener('abort', stop, { once: true });
    });
  }

  #take(message: FromLane): void {
    const running = this.#running;
    if (!running || message.run !== this.#run) return;
    if (message.kind === 'report') running.feed.report(message.report);
    else if (message.kind === 'next') void this.#next(running, message.run);
    else if (message.kind === 'renew') void this.#renew(running, message.run);
    else running.end(message.failure ? fromFailure(message.failure) : null);
  }

  async #next({ feed }: Running, run: number): Promise<void> {
    try {
      this.#say({ kind: 'work', run, work: await feed.next() });
    } catch {
      // Whoever makes the work has failed, or was stopped; the job knows, and the lane is to stop.
      this.#say({ kind: 'stop', run });
    }
  }

  async #renew({ access }: Running, run: number): Promise<void> {
    try {
      this.#given = await access.renew(this.#given);
      this.#say({ kind: 'access', run, access: this.#given });
    } catch (error) {
      this.#say({ kind: 'access', run, access: null, failure: toFailure(error) });
    }
  }

  #say(message: ToLane): void {
    this.#thread.postMessage(message, []);
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}
