import type { HostClock } from './clock.ts';
import { activityFailure } from './failure.ts';
import { type HistoryEvent, newEvent } from './history.ts';
import { InvocationFailure } from './invoke.ts';
import { isOver, type Store, type TaskRow } from './store.ts';

export interface ActivityRunnerOptions {
  store: Store;
  clock: HostClock;
  limit: number;
  /** Runs an activity and answers its result as JSON text; rejects with InvocationFailure. */
  run(task: TaskRow): Promise<string>;
  /** Called after results are on the disk, with the instances that have one. */
  recorded(instanceIds: ReadonlySet<string>): void;
  /** Called when there may be nothing left to run. */
  rested(): void;
  /** Called when results could not be written; their activities run again. */
  failed(error: unknown): void;
}

/**
 * Runs the activities in the table of tasks, at most `limit` at a time, each at least once: a task is removed
 * in the transaction that puts its result into the inbox of its orchestration, so what is recorded is never
 * run again and what was running when the process died is. Results that are ready together share a transaction.
 */
export class ActivityRunner {
  readonly #options: ActivityRunnerOptions;
  readonly #queue: TaskRow[] = [];
  #running = 0;
  #ended: { task: TaskRow; event: HistoryEvent }[] = [];
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(options: ActivityRunnerOptions) {
    this.#options = options;
  }

  /** Takes a task that is in the table. */
  add(task: TaskRow): void {
    this.#queue.push(task);
    this.#next();
  }

  /** Nothing is queued, running or to be recorded. */
  get idle(): boolean {
    return this.#queue.length === 0 && this.#running === 0 && this.#ended.length === 0;
  }

  /** Starts no more; resolves when what runs has ended and is recorded. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#queue.length = 0;
    while (this.#running > 0 || this.#ended.length > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  #next(): void {
    while (!this.#stopped && this.#running < this.#options.limit) {
      const task = this.#queue.shift();
      if (!task) return;
      this.#running += 1;
      void this.#run(task);
    }
  }

  async #run(task: TaskRow): Promise<void> {
    const event = await this.#outcome(task);
    this.#running -= 1;
    if (this.#ended.push({ task, event }) === 1) setImmediate(() => this.#record());
    this.#next();
  }

  async #outcome(task: TaskRow): Promise<HistoryEvent> {
    const { clock } = this.#options;
    const TaskScheduledId = task.taskId;
    try {
      const Result = await this.#options.run(task);
      return newEvent('TaskCompleted', clock.now(), { TaskScheduledId, Result });
    } catch (error) {
      const failure = error instanceof InvocationFailure ? error : new InvocationFailure(error);
      const body = { TaskScheduledId, ...activityFailure(task.name, failure) };
      return newEvent('TaskFailed', clock.now(), body);
    }
  }

  #record(): void {
    const { store, clock } = this.#options;
    const ended = this.#ended;
    this.#ended = [];
    const instances = new Set<string>();
    try {
      store.transaction(() => {
        for (const { task, event } of ended) {
          const { instanceId, executionId } = task;
          const row = store.removeTask(task) ? store.instance(instanceId) : undefined;
          // The instance may have been purged, replaced or terminated while the activity ran.
          if (row?.executionId !== executionId || isOver(row)) continue;
          store.send(instanceId, executionId, event, clock.now().getTime());
          instances.add(instanceId);
        }
      });
      this.#options.recorded(instances);
    } catch (error) {
      this.#options.failed(error);
      for (const { task } of ended) if (!this.#stopped) this.#queue.push(task);
    }
    for (const tell of this.#idle.splice(0)) tell();
    this.#next();
    this.#options.rested();
  }
}
