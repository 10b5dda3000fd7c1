import { randomUUID } from 'node:crypto';
import { ActivityRunner } from './activityRunner.ts';
import type { HostClock } from './clock.ts';
import { Episode, type Functions } from './episode.ts';
import { type HistoryEvent, newEvent } from './history.ts';
import { createInstance, instanceIdProblem } from './instances.ts';
import { describeError, type Log } from './log.ts';
import { type InstanceFilter, type InstanceRow, isOver, type Store } from './store.ts';

export interface EngineOptions {
  store: Store;
  clock: HostClock;
  log: Log;
  functions: Functions;
  maxConcurrentActivities: number;
  maxConcurrentOrchestrators: number;
  defaultVersion?: string | undefined;
}

export interface StartOptions {
  instanceId?: string | undefined;
  version?: string | undefined;
  traceParent?: string | undefined;
}

/** A request that cannot be served; `code` says why, the message is for a person. */
export class EngineError extends Error {
  readonly code: 'badRequest' | 'conflict';

  constructor(code: 'badRequest' | 'conflict', message: string) {
    super(message);
    this.code = code;
  }
}

/** What became of a message for an instance. */
export type Delivery = 'accepted' | 'missing' | 'over';

/** How long to wait before an episode that could not be written is tried again, ms. */
const pauseAfterError = 5_000;

/**
 * Runs orchestrations: one episode per instance at a time, each written in one transaction. It sleeps until a
 * message arrives or the next one in the table falls due, and is at all times ready to be killed.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #activities: ActivityRunner;
  readonly #ready = new Set<string>();
  readonly #busy = new Map<string, Promise<void>>();
  readonly #told = new Set<string>();
  #resting: (() => void)[] = [];
  readonly #watchers = new Set<(instanceId: string) => void>();
  #alarm: { at: number; cancel: () => void } | undefined;
  #running = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#activities = new ActivityRunner({
      store: options.store,
      clock: options.clock,
      limit: options.maxConcurrentActivities,
      run: (task) => options.functions.runActivity(task),
      recorded: (instances) => instances.forEach((id) => this.#wake(id)),
      rested: () => this.#rest(),
      failed: (error) => this.#report(`Results of activities could not be recorded: ${describeError(error)}`),
    });
  }

  /** Goes on where the last process stopped. */
  start(): void {
    this.#running = true;
    for (const task of this.#options.store.tasks()) this.#activities.add(task);
    this.#ring();
  }

  /** Starts nothing new; resolves when episodes and activities that run have been written. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    await Promise.all([...this.#busy.values(), this.#activities.stop()]);
  }

  /**
   * Creates an instance and answers its id. A finished instance with this id is overwritten. `input` is JSON
   * text. Throws EngineError: `badRequest` (unknown name, bad id), `conflict` (the id is in use).
   */
  startNew(name: string, input: string, options: StartOptions = {}): string {
    const { store, clock, functions, defaultVersion } = this.#options;
    const instanceId = options.instanceId ?? randomUUID().replaceAll('-', '');
    const problem = instanceIdProblem(instanceId);
    if (problem) throw new EngineError('badRequest', `Cannot start '${name}': ${problem}.`);
    if (!functions.hasOrchestrator(name)) {
      const text = `The function '${name}' doesn't exist, is disabled, or is not an orchestrator function.`;
      throw new EngineError('badRequest', text);
    }
    store.transaction(() => {
      const existing = store.instance(instanceId);
      if (existing && !isOver(existing)) {
        const text = `An Orchestration instance with the status ${existing.status} already exists.`;
        throw new EngineError('conflict', text);
      }
      createInstance(store, clock.now(), {
        instanceId,
        name,
        input,
        parent: undefined,
        version: options.version ?? defaultVersion,
        traceParent: options.traceParent,
      });
    });
    this.#wake(instanceId);
    return instanceId;
  }

  /** Raises an external event; `input` is JSON text. */
  raise(instanceId: string, name: string, input: string): Delivery {
    return this.#tell(
      instanceId,
      newEvent('EventRaised', this.#options.clock.now(), { Name: name, Input: input }),
    );
  }

  /** Ends an instance at its next episode. What its activities and children do is not stopped. */
  terminate(instanceId: string, reason: string): Delivery {
    return this.#tell(
      instanceId,
      newEvent('ExecutionTerminated', this.#options.clock.now(), { Input: reason }),
    );
  }

  suspend(instanceId: string, reason: string): Delivery {
    return this.#tell(
      instanceId,
      newEvent('ExecutionSuspended', this.#options.clock.now(), { Reason: reason }),
    );
  }

  resume(instanceId: string, reason: string): Delivery {
    return this.#tell(
      instanceId,
      newEvent('ExecutionResumed', this.#options.clock.now(), { Reason: reason }),
    );
  }

  /** Removes an instance and all that is known of it, running or not; false when there is none. */
  purge(instanceId: string): boolean {
    const { store } = this.#options;
    const existed = store.transaction(() => {
      const found = store.instance(instanceId) !== undefined;
      store.clear(instanceId, 'row');
      return found;
    });
    this.#changed(instanceId);
    return existed;
  }

  /** Removes the finished instances that match; answers how many. */
  purgeBy(filter: InstanceFilter): number {
    const { store } = this.#options;
    const over = store.instances(filter, Number.MAX_SAFE_INTEGER).filter(isOver);
    store.transaction(() => over.forEach((row) => store.clear(row.instanceId, 'row')));
    return over.length;
  }

  get(instanceId: string): InstanceRow | undefined {
    return this.#options.store.instance(instanceId);
  }

  history(row: InstanceRow): HistoryEvent[] {
    return this.#options.store.history(row.instanceId, row.executionId);
  }

  list(
    filter: InstanceFilter,
    limit: number,
    after?: { createdAt: number; instanceId: string },
  ): InstanceRow[] {
    return this.#options.store.instances(filter, limit, after);
  }

  /** Resolves with the instance when `matches` is true of it (undefined: it is not there), now or later. */
  async watch(
    instanceId: string,
    matches: (row: InstanceRow | undefined) => boolean,
    signal?: AbortSignal,
  ): Promise<InstanceRow | undefined> {
    for (;;) {
      signal?.throwIfAborted();
      const row = this.get(instanceId);
      if (matches(row)) return row;
      await new Promise<void>((resolve, reject) => {
        const end = (): void => {
          this.#watchers.delete(changed);
          signal?.removeEventListener('abort', aborted);
        };
        const changed = (id: string): void => {
          if (id !== instanceId) return;
          end();
          resolve();
        };
        const aborted = (): void => {
          end();
          reject(signal?.reason as Error);
        };
        this.#watchers.add(changed);
        signal?.addEventListener('abort', aborted);
      });
    }
  }

  /** Resolves when nothing runs and nothing waits but for the clock, or for a message from outside. */
  async whenIdle(): Promise<void> {
    while (!this.#isIdle()) await new Promise<void>((resolve) => this.#resting.push(resolve));
  }

  #isIdle(): boolean {
    return this.#ready.size === 0 && this.#busy.size === 0 && this.#activities.idle;
  }

  #rest(): void {
    if (this.#isIdle()) for (const tell of this.#resting.splice(0)) tell();
  }

  #tell(instanceId: string, event: HistoryEvent): Delivery {
    const { store, clock } = this.#options;
    const delivery = store.transaction((): Delivery => {
      const row = store.instance(instanceId);
      if (!row) return 'missing';
      if (isOver(row)) return 'over';
      store.send(instanceId, null, event, clock.now().getTime());
      return 'accepted';
    });
    if (delivery === 'accepted') this.#wake(instanceId);
    return delivery;
  }

  #wake(instanceId: string): void {
    this.#ready.add(instanceId);
    this.#pump();
  }

  #pump(): void {
    if (!this.#running) return;
    for (const instanceId of this.#ready) {
      if (this.#busy.size >= this.#options.maxConcurrentOrchestrators) return;
      if (this.#busy.has(instanceId)) continue;
      this.#ready.delete(instanceId);
      const run = this.#run(instanceId).finally(() => {
        this.#busy.delete(instanceId);
        this.#pump();
        this.#rest();
      });
      this.#busy.set(instanceId, run);
    }
  }

  async #run(instanceId: string): Promise<void> {
    const { store, clock, functions, defaultVersion } = this.#options;
    try {
      const episode = new Episode(instanceId, { store, clock, functions, defaultVersion });
      const effects = await episode.run();
      if (!effects) return;
      for (const mistake of effects.mistakes) this.#warn(effects.row, mistake);
      for (const task of effects.tasks) this.#activities.add(task);
      for (const id of effects.wake) this.#wake(id);
      if (effects.nextDue !== undefined) this.#setAlarm(effects.nextDue);
      this.#changed(instanceId);
    } catch (error) {
      this.#report(
        `An episode of ${instanceId} failed in the host, and is tried again: ${describeError(error)}`,
      );
      const again = new Date(clock.now().getTime() + pauseAfterError);
      clock.setTimer(again, () => this.#wake(instanceId));
    }
  }

  #changed(instanceId: string): void {
    for (const watcher of this.#watchers) watcher(instanceId);
  }

  /** Wakes what is due, and sleeps until the next message is. */
  #ring(): void {
    if (!this.#running) return;
    const { store, clock } = this.#options;
    const now = clock.now().getTime();
    this.#alarm?.cancel();
    this.#alarm = undefined;
    for (const instanceId of store.due(now)) this.#wake(instanceId);
    const next = store.nextDue(now);
    if (next !== undefined) this.#setAlarm(next);
  }

  #setAlarm(at: number): void {
    if (!this.#running || (this.#alarm && this.#alarm.at <= at)) return;
    this.#alarm?.cancel();
    const cancel = this.#options.clock.setTimer(new Date(at), () => this.#ring());
    this.#alarm = { at, cancel };
  }

  /** Each mistake once per execution: it shows again in every replay. */
  #warn(row: InstanceRow, mistake: string): void {
    const key = `${row.executionId} ${mistake}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    const { instanceId, name } = row;
    const message = `Orchestrator '${name}', instance ${instanceId}: ${mistake}`;
    this.#options.log({ level: 'warning', category: 'host', message, functionName: name, instanceId });
  }

  #report(message: string): void {
    // What a stopped host could not write, the next one does again.
    if (!this.#running) return;
    this.#options.log({ level: 'error', category: 'host', message });
  }
}
