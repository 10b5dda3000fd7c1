/**
 * A task as the replayer follows it: open until it is settled once, and then everybody who waits is told at
 * once, inside the call. Promises would not do: what an event sets off must have happened, ids and all, before
 * the next event is looked at.
 */
export class Signal {
  /** Undefined while open; then whether the task succeeded. */
  succeeded: boolean | undefined;
  /** True for a task that is started again when it fails. */
  readonly retries: boolean;
  #waiting: (() => void)[] = [];

  constructor(retries = false) {
    this.retries = retries;
  }

  get settled(): boolean {
    return this.succeeded !== undefined;
  }

  /** Settles the task; a second call changes nothing. */
  settle(succeeded: boolean): void {
    if (this.settled) return;
    this.succeeded = succeeded;
    for (const tell of this.#waiting.splice(0)) tell();
  }

  /** Calls back when the task is settled: now, if it is. */
  whenSettled(tell: () => void): void {
    if (this.settled) tell();
    else this.#waiting.push(tell);
  }
}

/** Settled when all are, even after one has failed: the replay in JavaScript fails at the first. */
export function allOf(parts: readonly Signal[]): Signal {
  const whole = new Signal();
  let open = parts.length;
  for (const part of parts) {
    part.whenSettled(() => {
      open -= 1;
      if (open === 0) whole.settle(parts.every((one) => one.succeeded));
    });
  }
  return whole;
}

/** Settled with the first one that is. */
export function anyOf(parts: readonly Signal[]): Signal {
  const whole = new Signal();
  for (const part of parts) part.whenSettled(() => whole.settle(true));
  return whole;
}
