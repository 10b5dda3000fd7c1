import type { AppFunction } from './app.ts';
import type { HostClock } from './clock.ts';
import { describeError, type Log } from './log.ts';
import { parseSchedule, type Schedule } from './ncrontab.ts';
import type { Store } from './store.ts';
import type { TypedData } from './typedData.ts';

export interface TimersOptions {
  functions: readonly AppFunction[];
  store: Store;
  clock: HostClock;
  log: Log;
  invoke(fn: AppFunction, trigger: TypedData): Promise<unknown>;
}

/** The timer triggers of an app. */
export class Timers {
  readonly #timers: Map<string, TimerTrigger>;

  /** Throws when a schedule is not one, naming the function. */
  constructor(options: TimersOptions) {
    this.#timers = new Map(options.functions.map((fn) => [fn.name, new TimerTrigger(fn, options)]));
  }

  start(): void {
    for (const timer of this.#timers.values()) timer.start();
  }

  /** Fires nothing more; resolves when what runs has ended. */
  async stop(): Promise<void> {
    await Promise.all([...this.#timers.values()].map((timer) => timer.stop()));
  }

  /**
   * Runs a timer function now, after the run that is on, if one is. Answers undefined when there is no such
   * function; else what resolves at its end (it does not reject: failures are logged).
   */
  fire(name: string): Promise<void> | undefined {
    return this.#timers.get(name)?.fire(false);
  }
}

/**
 * One timer trigger. Its status (last and next run) is kept in the store, written after each run: a run that
 * was missed or cut off while the host was down is made up for once, at the start, with `isPastDue`. Runs never
 * overlap; occurrences that pass during a run are left out. Schedules under a minute keep no status.
 */
class TimerTrigger {
  readonly #fn: AppFunction;
  readonly #options: TimersOptions;
  readonly #schedule: Schedule;
  readonly #monitored: boolean;
  #last: number | null = null;
  #next = 0;
  #cancel: () => void = () => undefined;
  #runs: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(fn: AppFunction, options: TimersOptions) {
    this.#fn = fn;
    this.#options = options;
    try {
      this.#schedule = parseSchedule(String(fn.trigger['schedule']));
    } catch (error) {
      throw new Error(`The timer function '${fn.name}' cannot run: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const shortest = this.#schedule.shortestInterval(options.clock.now());
    this.#monitored = fn.trigger['useMonitor'] !== false && shortest >= 60_000;
  }

  start(): void {
    const now = this.#options.clock.now();
    const status = this.#monitored ? this.#options.store.schedule(this.#fn.name) : undefined;
    this.#last = status?.last ?? null;
    // A schedule that was changed counts from the last run.
    if (status?.expression === this.#schedule.expression) this.#next = status.next;
    else this.#next = this.#schedule.next(new Date(status?.last ?? now)).getTime();
    const pastDue = this.#next < now.getTime();
    if (status === undefined) this.#save();
    if (pastDue || this.#fn.trigger['runOnStartup'] === true) void this.fire(pastDue).then(() => this.#arm());
    else this.#arm();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#runs;
  }

  fire(isPastDue: boolean): Promise<void> {
    const run = this.#runs.then(() => this.#run(isPastDue));
    this.#runs = run;
    return run;
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.setTimer(new Date(this.#next), () => {
      void this.fire(false).then(() => this.#arm());
    });
  }

  async #run(isPastDue: boolean): Promise<void> {
    if (this.#stopped) return;
    const { clock, log } = this.#options;
    const started = clock.now();
    try {
      await this.#options.invoke(this.#fn, this.#trigger(isPastDue));
    } catch (error) {
      const message = `The timer function '${this.#fn.name}' failed: ${describeError(error)}`;
      log({ level: 'error', category: 'host', message, functionName: this.#fn.name });
    }
    this.#last = started.getTime();
    // A run asked for by hand moves nothing that is still to come.
    if (this.#next <= clock.now().getTime()) this.#next = this.#schedule.next(clock.now()).getTime();
    try {
      this.#save();
    } catch (error) {
      const message = `The status of timer '${this.#fn.name}' could not be kept: ${describeError(error)}`;
      if (!this.#stopped) log({ level: 'error', category: 'host', message, functionName: this.#fn.name });
    }
  }

  #trigger(isPastDue: boolean): TypedData {
    // As it was kept after the run before: Next is the occurrence that this run is for, also when it is late.
    const status = {
      Last: this.#last === null ? '0001-01-01T00:00:00+00:00' : new Date(this.#last).toISOString(),
      LastUpdated: this.#last === null ? '0001-01-01T00:00:00+00:00' : new Date(this.#last).toISOString(),
      Next: new Date(this.#next).toISOString(),
    };
    const ScheduleStatus = this.#monitored ? status : null;
    return {
      json: JSON.stringify({ Schedule: { AdjustForDST: true }, ScheduleStatus, IsPastDue: isPastDue }),
    };
  }

  #save(): void {
    if (!this.#monitored) return;
    const updatedAt = this.#options.clock.now().getTime();
    const { expression } = this.#schedule;
    this.#options.store.putSchedule({
      functionName: this.#fn.name,
      expression,
      last: this.#last,
      next: this.#next,
      updatedAt,
    });
  }
}
