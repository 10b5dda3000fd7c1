import { parentPort } from 'node:worker_threads';
import { fromFailure, toFailure } from '../model/index.ts';
import { type FromLane, LANE_THREAD, type ToLane } from './laneProtocol.ts';
import type { Feed, LanePlaces, LaneSetup, LaneWork } from './lanes.ts';
import { runLane } from './runLane.ts';

/** Whether this thread was started for a lane. `data`: its `workerData`. */
export const isLaneThread = (data: unknown): boolean =>
  typeof data === 'object' && data !== null && 'role' in data && data.role === LANE_THREAD;

/** Opens what a lane touches; `renew` asks the main thread for access that is not refused. */
export type OpenPlaces = (access: unknown, renew: () => Promise<unknown>) => LanePlaces;

/** What services have refused to this thread so far, for asking too much. Grows only. */
export type RefusedSoFar = () => { readonly calls: number; readonly seconds: number };

/** Runs lanes for the main thread, one after the other. */
export function runLaneThread(
  open: OpenPlaces,
  refused: RefusedSoFar = () => ({ calls: 0, seconds: 0 }),
): void {
  const port = parentPort;
  if (!port) throw new Error('A lane runs in a thread of its own.');
  const say = (message: FromLane) => port.postMessage(message, []);
  let current: ThreadFeed | null = null;
  port.on('message', (message: ToLane) => {
    if (message.kind !== 'run') {
      if (message.run === current?.run) current.take(message);
      return;
    }
    const feed = new ThreadFeed(message.run, say);
    current = feed;
    const before = { ...refused() };
    void runOne(feed, message.setup, () => open(message.access, () => feed.renew())).then((failure) => {
      const calls = refused().calls - before.calls;
      if (calls > 0) feed.report({ kind: 'refused', calls, seconds: refused().seconds - before.seconds });
      say({ kind: 'ended', run: feed.run, failure });
    });
  });
}

async function runOne(feed: ThreadFeed, setup: LaneSetup, open: () => LanePlaces) {
  try {
    await runLane(setup, open(), feed);
    return null;
  } catch (error) {
    return toFailure(error);
  }
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A lane's feed on this side: one piece of work is asked for ahead. */
class ThreadFeed implements Feed {
  readonly run: number;
  readonly #say: (message: FromLane) => void;
  readonly #stop = new AbortController();
  readonly #here: (LaneWork | null)[] = [];
  readonly #waiting: Waiting<LaneWork | null>[] = [];
  #renewing: Waiting<unknown>[] = [];
  #asked = 0;
  #over = false;

  constructor(run: number, say: (message: FromLane) => void) {
    this.run = run;
    this.#say = say;
    this.#ask();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  #ask(): void {
    this.#asked++;
    this.#say({ kind: 'next', run: this.run });
  }

  next(): Promise<LaneWork | null> {
    this.signal.throwIfAborted();
    const here = this.#here.shift();
    if (here === undefined && this.#over && this.#asked === 0) return Promise.resolve(null);
    if (!this.#over) this.#ask();
    if (here !== undefined) return Promise.resolve(here);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  report(report: Parameters<Feed['report']>[0]): void {
    this.#say({ kind: 'report', run: this.run, report });
  }

  renew(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#renewing.push({ resolve, reject });
      if (this.#renewing.length === 1) this.#say({ kind: 'renew', run: this.run });
    });
  }

  take(message: Exclude<ToLane, { kind: 'run' }>): void {
    if (message.kind === 'stop') {
      const error = new Error('The lane was told to stop.');
      this.#stop.abort(error);
      for (const waiting of [...this.#waiting.splice(0), ...this.#renewing.splice(0)]) waiting.reject(error);
    } else if (message.kind === 'work') {
      this.#asked--;
      if (message.work === null) this.#over = true;
      const waiting = this.#waiting.shift();
      if (waiting) waiting.resolve(message.work);
      else if (message.work !== null) this.#here.push(message.work);
      // Whoever still waits when all is handed out waits for nothing.
      if (this.#over && this.#asked === 0) for (const late of this.#waiting.splice(0)) late.resolve(null);
    } else {
      const renewing = this.#renewing;
      this.#renewing = [];
      for (const { resolve, reject } of renewing) {
        if (message.failure) reject(fromFailure(message.failure));
        else resolve(message.access);
      }
    }
  }
}
