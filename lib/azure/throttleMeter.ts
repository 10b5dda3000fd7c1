import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';

/** What services refused for asking too much, while something was done. Grows only. */
export interface ThrottleMeter {
  /** Answers 429 and 503. */
  calls: number;
  /** About as long as was waited because of them. */
  seconds: number;
}

/** What a refusal without Retry-After is counted as: the first wait of the SDKs. */
const UNSAID_SECONDS = 0.5;
const LONGEST_SECONDS = 60;

const current = new AsyncLocalStorage<ThrottleMeter>();
const unmetered: ThrottleMeter = { calls: 0, seconds: 0 };
let listening = false;

/**
 * Counts into `meter` whatever is refused to requests that `act` makes, however deep. Node's own HTTP client tells of every
 * answer, so that also those count which an SDK tries again out of sight; what goes past it calls `countThrottled`. Of two
 * nested meters the inner one counts.
 */
export function metered<T>(meter: ThrottleMeter, act: () => T): T {
  listen();
  return current.run(meter, act);
}

/** What was refused to this thread outside of every meter, from the first call on: of a thread that does one thing at a time. */
export function threadMeter(): ThrottleMeter {
  listen();
  return unmetered;
}

function listen(): void {
  if (!listening) subscribe('http.client.response.finish', onAnswer);
  listening = true;
}

/** A service said that it has too much to do; `seconds` will be waited before the next try. */
export function countThrottled(seconds: number): void {
  const meter = current.getStore() ?? unmetered;
  meter.calls++;
  meter.seconds += Math.min(LONGEST_SECONDS, Math.max(UNSAID_SECONDS, seconds));
}

export const isThrottled = (status: number): boolean => status === 429 || status === 503;

function onAnswer(message: unknown): void {
  const { response } = message as { response: IncomingMessage };
  if (!isThrottled(response.statusCode ?? 0)) return;
  const seconds = Number(response.headers['retry-after'] ?? 0);
  countThrottled(Number.isFinite(seconds) ? seconds : 0);
}
