/**
 * Time as the host sees it. Durable timers, timer triggers, the due times of messages, retries and function
 * timeouts all go through this interface, so a test can drive a week in a millisecond.
 *
 * `setTimer` calls `wake` once, when `now()` has reached `at` (never before), and returns a function that
 * cancels it. A time in the past wakes as soon as possible, but never inside the call itself.
 */
export interface HostClock {
  now(): Date;
  setTimer(at: Date, wake: () => void): () => void;
}

/** The longest single sleep, ms: after the machine was suspended a timer is late by no more than this. */
const longestSleep = 60_000;

/** The clock of the machine. Its timers do not keep the process alive. */
export const systemClock: HostClock = {
  now: () => new Date(),
  setTimer(at, wake) {
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      // Node may fire up to a millisecond early, and rejects delays over 24.8 days.
      const delay = Math.min(Math.max(at.getTime() - Date.now(), 0), longestSleep);
      handle = setTimeout(() => (Date.now() >= at.getTime() ? wake() : arm()), delay);
      handle.unref();
    };
    arm();
    return () => clearTimeout(handle);
  },
};
