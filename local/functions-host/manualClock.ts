import type { HostClock } from './clock.ts';

interface Timer {
  at: number;
  order: number;
  wake: () => void;
}

/**
 * A clock that moves only when told to. `advance` fires the timers that became due in the order of their due
 * times (equal ones in the order they were set), with `now()` standing at each one's due time while it fires.
 */
export class ManualClock implements HostClock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<Timer>();
  #arrivals: (() => void)[] = [];

  constructor(start: Date | string = '2026-01-01T00:00:00.000Z') {
    this.#now = new Date(start).getTime();
  }

  now(): Date {
    return new Date(this.#now);
  }

  setTimer(at: Date, wake: () => void): () => void {
    const timer = { at: at.getTime(), order: this.#order++, wake };
    this.#timers.add(timer);
    // A timer that is already due fires by itself: nobody may have to advance by zero.
    if (timer.at <= this.#now) {
      queueMicrotask(() => {
        if (this.#timers.delete(timer)) wake();
      });
    }
    for (const arrived of this.#arrivals.splice(0)) arrived();
    return () => void this.#timers.delete(timer);
  }

  /** The due time of the earliest timer that is set, if any. */
  next(): Date | undefined {
    const due = this.#earliest();
    return due && new Date(due.at);
  }

  /** Moves time forward by `ms`, firing what becomes due on the way. */
  advance(ms: number): void {
    const target = this.#now + ms;
    for (let due = this.#earliest(); due && due.at <= target; due = this.#earliest()) {
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.wake();
    }
    this.#now = Math.max(this.#now, target);
  }

  /** Moves time to `at` (no effect when it has passed). */
  advanceTo(at: Date): void {
    this.advance(at.getTime() - this.#now);
  }

  /** Resolves when a timer is set that matches, at once when one is set already. */
  async waitForTimer(matches: (at: Date) => boolean = () => true): Promise<Date> {
    for (;;) {
      const found = [...this.#timers].sort(byDue).find((timer) => matches(new Date(timer.at)));
      if (found) return new Date(found.at);
      await new Promise<void>((resolve) => this.#arrivals.push(resolve));
    }
  }

  #earliest(): Timer | undefined {
    return [...this.#timers].sort(byDue)[0];
  }
}

function byDue(a: Timer, b: Timer): number {
  return a.at - b.at || a.order - b.order;
}
