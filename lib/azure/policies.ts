import type { PipelinePolicy } from '@azure/core-rest-pipeline';
import { azureError, readFailure, transportError } from './errors.ts';

/** Longest Retry-After that a call waits for by itself; a longer one is the caller's (a durable timer waits better). */
const LONGEST_WAIT_SECONDS = 5;
/** Where a Retry-After that is not waited for is kept. */
const KEPT_WAIT = 'x-holdfast-retry-after';

/**
 * The SDK's retry sleeps exactly as long as Retry-After says, without limit. This takes long ones away from it, so that the call ends
 * at once as throttled, with the seconds in its message.
 */
export function shortWaits(): PipelinePolicy {
  return {
    name: 'holdfastShortWaits',
    async sendRequest(request, next) {
      const response = await next(request);
      const seconds = retryAfterSeconds(response.headers.get('retry-after'));
      if ((response.status === 429 || response.status === 503) && (seconds ?? 0) > LONGEST_WAIT_SECONDS) {
        response.headers.set(KEPT_WAIT, String(seconds));
        for (const name of ['retry-after', 'retry-after-ms', 'x-ms-retry-after-ms'])
          response.headers.delete(name);
      }
      return response;
    },
  };
}

/**
 * Outside the retries: ends a call, retries included, after `timeoutMs`, and turns what is left into `HoldfastError`. The SDK would lose
 * the body's details on the start of an operation, and the code on its failure; of its own it waits for a silent server for ever. A
 * caller's abort is thrown as the caller's own reason.
 */
export function boundedCalls(timeoutMs: number): PipelinePolicy {
  return {
    name: 'holdfastBoundedCalls',
    async sendRequest(request, next) {
      const target = resourceOf(request.url);
      const what = describe(request.method, request.url);
      const callers = request.abortSignal as AbortSignal | undefined;
      const limit = AbortSignal.timeout(timeoutMs);
      request.abortSignal = callers ? AbortSignal.any([limit, callers]) : limit;
      const response = await next(request).catch((error: unknown) => {
        if (callers?.aborted) throw callers.reason;
        throw transportError(what, target, error);
      });
      if (response.status < 400) return response;
      const wait = response.headers.get(KEPT_WAIT) ?? response.headers.get('retry-after');
      throw azureError(
        what,
        target,
        readFailure(response.bodyAsText ?? '', response.status, retryAfterSeconds(wait)),
      );
    },
  };
}

/** Seconds of a Retry-After header, which may also be a date. */
export function retryAfterSeconds(value: string | undefined | null, now = new Date()): number | undefined {
  if (!value) return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now.getTime()) / 1000));
}

const ACTIONS = /\/(beginGetAccess|endGetAccess|start|deallocate|powerOff|instanceView)$/i;

/** The ARM id that a URL is about: its path, without a trailing action. */
const resourceOf = (url: string): string => decodeURIComponent(new URL(url).pathname).replace(ACTIONS, '');

/** `create or update snapshots "x"`. */
function describe(method: string, url: string): string {
  const path = decodeURIComponent(new URL(url).pathname);
  const [, action] = ACTIONS.exec(path) ?? [];
  const [type, name] = path.replace(ACTIONS, '').split('/').slice(-2);
  const verb =
    action ?? { GET: 'read', PUT: 'create or update', PATCH: 'update', DELETE: 'delete' }[method] ?? method;
  return `${verb} ${type} "${name}"`;
}
