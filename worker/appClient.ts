import { ManagedIdentityCredential } from '@azure/identity';
import type { z } from 'zod';
import {
  type ClaimAnswer,
  type Clock,
  claimAnswerSchema,
  endAnswerSchema,
  type Failure,
  HoldfastError,
  isHoldfastError,
  JOB_SCHEMA_VERSION,
  type JobProgress,
  type JobResult,
  type RenewAnswer,
  renewAnswerSchema,
} from '../lib/model/index.ts';

/** Which attempt a call is about. */
export interface AttemptOf {
  readonly sessionId: string;
  readonly jobId: string;
  readonly attempt: number;
}

/** Longest a call may take. Shorter than a third of a claim, so that a lost answer does not lose the claim. */
const CALL_MS = 20_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** A token for the app, from wherever the worker's identity is. */
export type TokenSource = () => Promise<string>;

/** Tokens of the VM's own identity, cached and renewed by the SDK. */
export function identityToken(audience: string): TokenSource {
  const credential = new ManagedIdentityCredential();
  return async () => (await credential.getToken(`${audience}/.default`)).token;
}

/**
 * The app, as a worker sees it: four calls, each safe to repeat. Throws `unauthorized` (which an app that does not know the new VM yet
 * says too), `invalidInput`, `unavailable` and `timeout`; what the app answered is in the message, what was sent is not.
 */
export class AppClient {
  readonly #appUrl: string;
  readonly #token: TokenSource;

  constructor(appUrl: string, token: TokenSource) {
    this.#appUrl = appUrl;
    this.#token = token;
  }

  claim(signal?: AbortSignal): Promise<ClaimAnswer> {
    return this.#post('claim', { schemaVersion: JOB_SCHEMA_VERSION }, claimAnswerSchema, signal);
  }

  renew(
    attempt: AttemptOf,
    told: { progress: JobProgress; checkpoint?: unknown; refresh: boolean },
  ): Promise<RenewAnswer> {
    return this.#post('renew', { ...attempt, ...told }, renewAnswerSchema);
  }

  complete(attempt: AttemptOf, result: JobResult): Promise<{ gone: boolean }> {
    return this.#post('complete', { ...attempt, result }, endAnswerSchema);
  }

  fail(attempt: AttemptOf, { code, message, target, retryable }: Failure): Promise<{ gone: boolean }> {
    const failure = { code, message, retryable, ...(target === undefined ? {} : { target }) };
    return this.#post('fail', { ...attempt, failure }, endAnswerSchema);
  }

  async #post<T>(verb: string, body: object, schema: z.ZodType<T>, signal?: AbortSignal): Promise<T> {
    const limit = AbortSignal.timeout(CALL_MS);
    const token = await this.#token().catch((cause: unknown) => {
      throw new HoldfastError('unavailable', `${verb}: no token for the worker's identity: ${text(cause)}`);
    });
    let status: number;
    let answer: string;
    try {
      const response = await fetch(`${this.#appUrl}/api/worker/${verb}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      status = response.status;
      answer = await response.text();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const code = limit.aborted ? 'timeout' : 'unavailable';
      throw new HoldfastError(code, `${verb}: the app was not reached: ${text(error)}`);
    }
    if (status >= 300) throw refused(verb, status, answer);
    const parsed = schema.safeParse(parse(answer));
    if (parsed.success) return parsed.data;
    // Not its text: an answer may hold secrets.
    throw new HoldfastError('unavailable', `${verb}: the app's answer is not one of this version.`);
  }
}

/**
 * Repeats a call while its failure may pass, with growing waits. Ends with the call's answer, its last failure when `invalidInput`,
 * or the signal's reason.
 */
export async function persist<T>(clock: Clock, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    signal.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (isHoldfastError(error, 'invalidInput') || !isHoldfastError(error)) throw error;
      await clock.sleep(wait, signal);
    }
  }
}

function refused(verb: string, status: number, answer: string): HoldfastError {
  const message = `${verb}: the app answered ${status}${reason(answer)}`;
  if (status === 401 || status === 403) return new HoldfastError('unauthorized', message);
  if (status === 400 || status === 413) return new HoldfastError('invalidInput', message);
  // Anything else may pass: an app that is being deployed answers 404 and 502 for a while.
  return new HoldfastError('unavailable', message);
}

/** The code and message of an error in the app's envelope. */
function reason(answer: string): string {
  const body = parse(answer);
  if (typeof body !== 'object' || body === null || !('error' in body)) return '';
  const { code, message } = body.error as { code?: unknown; message?: unknown };
  return `: ${String(code)}: ${String(message)}`;
}

function parse(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return null;
  }
}

/** `fetch failed` says nothing; its cause does. */
function text(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
