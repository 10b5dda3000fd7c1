/**
 * Time as a dependency. Everything outside orchestrators takes a `Clock`; orchestrators use the durable clock only.
 */
export interface Clock {
  now(): Date;
  /** Resolves after `ms` milliseconds of this clock, or rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};

/** From one instant to another, given in ISO 8601; negative when it is past. */
export const secondsUntil = (until: string, from: Date): number =>
  (Date.parse(until) - from.getTime()) / 1000;

/** `seconds` after `instant`. */
export const later = (instant: Date, seconds: number): Date => new Date(instant.getTime() + seconds * 1000);
