import { CLAIM_SECONDS, HEARTBEAT_SECONDS, HoldfastError } from '../lib/model/index.ts';

/** What the worker is told from outside, and how patient it is. Times in milliseconds. Structured-cloneable: its thread gets a copy. */
export interface WorkerSettings {
  /** Where the app's API is, without a slash at the end. */
  readonly appUrl: string;
  /** What its tokens are for. */
  readonly audience: string;
  readonly heartbeatMs: number;
  /** A claim that was not renewed for this long is lost. */
  readonly claimMs: number;
  /** A job that reports no progress and keeps no checkpoint for this long is stuck, and is given up. */
  readonly stallMs: number;
  /** A job that was told to stop and has not after this long is ended with its process. */
  readonly graceMs: number;
  /** How long a job that is interrupted by the worker's own end may take to stop. The unit kills after 30 s. */
  readonly interruptMs: number;
}

/** From the environment that the boot script sets. */
export function readSettings(env: Readonly<Record<string, string | undefined>>): WorkerSettings {
  return {
    appUrl: need(env, 'HOLDFAST_APP_URL').replace(/\/$/, ''),
    audience: need(env, 'HOLDFAST_AUDIENCE'),
    heartbeatMs: HEARTBEAT_SECONDS * 1000,
    claimMs: CLAIM_SECONDS * 1000,
    stallMs: 10 * 60_000,
    graceMs: 60_000,
    interruptMs: 5_000,
  };
}

function need(env: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = env[name];
  if (value) return value;
  throw new HoldfastError('notConfigured', `${name} is not set; the boot script takes it from worker.env.`, {
    target: name,
  });
}
