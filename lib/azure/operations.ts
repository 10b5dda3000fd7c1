/**
 * Long-running operations of ARM that are started in one activity and polled in others.
 *
 * The SDK's own poller is not used for polling: it throws a failed operation as a bare `Error` without code or details, and its
 * serialised state is large and may hold a result. What is kept is the URL that ARM gave; polling goes through the SDK's pipeline.
 */
import type { PipelineResponse } from '@azure/core-rest-pipeline';
import { type ErrorCode, type Failure, HoldfastError, isHoldfastError, toFailure } from '../model/index.ts';
import type { AzureConnection, CallOptions, SdkCall } from './connection.ts';
import { azureError, failureOf } from './errors.ts';
import { retryAfterSeconds } from './policies.ts';

/** A started operation as data (JSON, under 2 KB, no secret): a row or an orchestrator's history may hold it. */
export interface Operation {
  /** What was started, for messages: `create snapshot`. */
  readonly what: string;
  /** ARM id of the resource. */
  readonly resourceId: string;
  /** How to learn its state. `none`: it was done when ARM answered. */
  readonly via: 'operation' | 'location' | 'resource' | 'none';
  /** What to ask; empty for `none`. Answered by ARM only. */
  readonly url: string;
  /** How long ARM asked to wait before the first poll. */
  readonly retryAfterSeconds: number;
  /** The code of a failure that says nothing better. */
  readonly otherwise: ErrorCode;
}

/** `succeeded` has no value: read the resource. What an operation returns may be a secret, see `DiskGrants`. */
export type OperationState =
  | { readonly status: 'running'; readonly retryAfterSeconds: number }
  | { readonly status: 'succeeded' }
  | { readonly status: 'failed'; readonly failure: Failure };

/** Compute allows 45 polls a minute of one operation, and twelve reads of one VM. */
const POLL_SECONDS = 5;

/** The part of the SDK's poller that is used: the first call. */
interface Submitted {
  submitted(): Promise<void>;
}

type StartOptions = SdkCall & { onResponse: (response: PipelineResponse) => void };

export interface Start {
  readonly what: string;
  readonly resourceId: string;
  readonly otherwise?: ErrorCode;
  /** ARM answers a DELETE of what is not there with 204 or 404: both mean done. */
  readonly goneIsDone?: boolean;
}

/** Starts an operation with an SDK call: `startOperation(c, {...}, (o) => client.snapshots.delete(group, name, o))`. */
export async function startOperation(
  connection: AzureConnection,
  start: Start,
  call: (options: StartOptions) => Submitted,
  options?: CallOptions,
): Promise<Operation> {
  return (await submit(connection, start, call, options)).operation;
}

/** As `startOperation`, and the body of ARM's first answer, for callers that must not let it out of memory. */
export async function submit(
  connection: AzureConnection,
  start: Start,
  call: (options: StartOptions) => Submitted,
  options?: CallOptions,
): Promise<{ operation: Operation; body: unknown }> {
  let first: PipelineResponse | undefined;
  const onResponse = (response: PipelineResponse) => {
    first ??= response;
  };
  const { what, resourceId, otherwise = 'internal' } = start;
  const done = { what, resourceId, via: 'none', url: '', retryAfterSeconds: 0, otherwise } as const;
  try {
    await call({ ...connection.call(options), onResponse }).submitted();
  } catch (error) {
    if (start.goneIsDone && isHoldfastError(error, 'notFound')) return { operation: done, body: undefined };
    throw error;
  }
  if (first === undefined)
    throw new HoldfastError('internal', `${what}: no answer was seen.`, { target: resourceId });
  const { headers, request } = first;
  const body = parse(first);
  const wait = retryAfterSeconds(headers.get('retry-after')) ?? POLL_SECONDS;
  const polled = { what, resourceId, retryAfterSeconds: wait, otherwise };
  const operationUrl = headers.get('azure-asyncoperation');
  const location = headers.get('location');
  if (operationUrl) return { operation: { ...polled, via: 'operation', url: operationUrl }, body };
  if (first.status === 202 && location)
    return { operation: { ...polled, via: 'location', url: location }, body };
  const state = provisioningState(body);
  if (state !== undefined && !/^(succeeded|failed|canceled)$/i.test(state)) {
    return { operation: { ...polled, via: 'resource', url: request.url }, body };
  }
  return { operation: done, body };
}

/**
 * One look at an operation; may be called any number of times. Throws only when the look itself failed (retryable errors: look again);
 * the operation's own failure is a value. A record of an operation that Azure has dropped is a retryable failure: starting again is
 * safe, because names derive from the session.
 */
export async function pollOperation(
  connection: AzureConnection,
  operation: Operation,
  options?: CallOptions,
): Promise<OperationState> {
  return (await look(connection, operation, options)).state;
}

/**
 * Waits in memory until the operation has ended, at most `seconds`; gives the body of its last answer. Throws its failure, or `timeout`
 * (the operation may still succeed later).
 */
export async function waitForOperation(
  connection: AzureConnection,
  operation: Operation,
  seconds: number,
  options?: CallOptions,
): Promise<unknown> {
  const { clock } = connection;
  const end = clock.now().getTime() + seconds * 1000;
  // Grants and the like take a second or two; ARM names no interval for them.
  for (let wait = 0.5; ; wait = Math.min(wait * 2, POLL_SECONDS)) {
    const { state, body } = await look(connection, operation, options);
    if (state.status === 'succeeded') return body;
    if (state.status === 'failed') {
      const { code, message, target, retryable } = state.failure;
      throw new HoldfastError(code, message, { retryable, ...(target === undefined ? {} : { target }) });
    }
    if (clock.now().getTime() + wait * 1000 > end) {
      throw new HoldfastError(
        'timeout',
        `${operation.what}: not done after ${seconds} s; it may end later.`,
        {
          target: operation.resourceId,
        },
      );
    }
    await clock.sleep(wait * 1000, options?.signal);
  }
}

async function look(
  connection: AzureConnection,
  operation: Operation,
  options?: CallOptions,
): Promise<{ state: OperationState; body?: unknown }> {
  if (operation.via === 'none') return { state: { status: 'succeeded' } };
  let response: PipelineResponse;
  try {
    response = await connection.get(operation.url, options);
  } catch (error) {
    const failed = endOf(operation, error);
    if (failed === null) throw error;
    return { state: failed };
  }
  const body = parse(response);
  const state = stateOf(operation, response.status, body);
  if (state === 'running') {
    const wait = retryAfterSeconds(response.headers.get('retry-after')) ?? POLL_SECONDS;
    return { state: { status: 'running', retryAfterSeconds: wait } };
  }
  if (state === 'succeeded') return { state: { status: 'succeeded' }, body };
  const error = azureError(
    operation.what,
    operation.resourceId,
    failureOf((body as { error?: unknown } | undefined)?.error ?? { code: state }),
    operation.otherwise,
  );
  return { state: { status: 'failed', failure: toFailure(error) } };
}

/** What an error of a look says of the operation; null when it says nothing. */
function endOf(operation: Operation, error: unknown): OperationState | null {
  if (!isHoldfastError(error)) return null;
  if (error.code === 'notFound') {
    const message = `${operation.what}: Azure no longer knows the operation; look at the resource, or start it again.`;
    const failure: Failure = { code: 'unavailable', message, target: operation.resourceId, retryable: true };
    return { status: 'failed', failure };
  }
  // A Location answers with the failure of the operation itself.
  if (operation.via !== 'location' || error.retryable || error.code === 'accessDenied') return null;
  return { status: 'failed', failure: { ...toFailure(error), target: operation.resourceId } };
}

function stateOf(operation: Operation, status: number, body: unknown): string {
  if (operation.via === 'location') return status === 202 ? 'running' : 'succeeded';
  const said =
    operation.via === 'operation'
      ? (body as { status?: string } | undefined)?.status
      : (provisioningState(body) ?? 'succeeded');
  const word = (said ?? '').toLowerCase();
  if (word === 'succeeded') return 'succeeded';
  if (word.includes('fail')) return 'Failed';
  if (word === 'canceled' || word === 'cancelled') return 'Canceled';
  return 'running';
}

const provisioningState = (body: unknown): string | undefined =>
  (body as { properties?: { provisioningState?: string } } | null | undefined)?.properties?.provisioningState;

function parse(response: PipelineResponse): unknown {
  try {
    return response.bodyAsText ? (JSON.parse(response.bodyAsText) as unknown) : undefined;
  } catch {
    return undefined;
  }
}
