import { type ErrorCode, HoldfastError, isHoldfastError } from '../model/index.ts';

/** What a service said of a failure. Everything is optional: an operation that failed late has no HTTP status. */
export interface ServiceFailure {
  readonly status?: number | undefined;
  /** The service's code, e.g. `OperationNotAllowed`. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** Codes of the nested details. Compute says `TooManyRequests` only there. */
  readonly details?: readonly string[] | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** Removes what a message may not hold: SAS signatures, stored policy ids of disk SAS, bearer tokens. */
export const redact = (text: string): string =>
  text
    .replace(/\b(sig|si|skoid|sktid)=[^&\s"'<>]+/gi, '$1=REDACTED')
    .replace(/\bBearer\s+[\w.~+/=-]+/gi, 'Bearer REDACTED');

const CAPACITY = new Set([
  'SkuNotAvailable',
  'AllocationFailed',
  'ZonalAllocationFailed',
  'OverconstrainedAllocationRequest',
  'OverconstrainedZonalAllocationRequest',
]);
const BUSY = new Set([
  'Conflict',
  'OperationPreempted',
  'AnotherOperationInProgress',
  'AttachDiskWhileBeingDetached',
  'ResourceBeingDeleted',
  'PreconditionFailed',
  'RetryableError',
  'CanceledAndSupersededDueToAnotherOperation',
  'NicReservedForAnotherVm',
]);
const TRANSIENT = new Set([
  'ServerBusy',
  'InternalError',
  'InternalServerError',
  'OperationTimedOut',
  'InternalExecutionError',
  'InternalOperationError',
  'NetworkingInternalOperationError',
  'GatewayTimeout',
  'ServiceUnavailable',
]);
const THROTTLED = new Set(['TooManyRequests', 'SubscriptionRequestsThrottled', 'RequestRateTooLarge']);
const GONE = new Set([
  'ResourceNotFound',
  'ResourceGroupNotFound',
  'ParentResourceNotFound',
  'SubscriptionNotFound',
  'NotFound',
]);
const DENIED = new Set([
  'AuthorizationFailed',
  'LinkedAuthorizationFailed',
  'RequestDisallowedByPolicy',
  'AuthenticationFailed',
  'DisabledSubscription',
  'ReadOnlyDisabledSubscription',
]);
const TAGS = /^(TooManyTags|InvalidTag\w*|TagsLimit\w*)$/;
const QUOTA = /exceeding (quota limits?|approved .*quota)|quota (has been |is )?exceeded/i;
const TOO_MANY_REQUESTS = /too many requests/i;
// The texts of these refusals (409 OperationNotAllowed) are not documented; what they must speak of is.
const SAS_OUTSTANDING = /shared access signatures?|EndGetAccess/i;
const SNAPSHOTS_TOO_FAST = /snapshots?\b.*\bminutes?\b/i;
const SNAPSHOTS_TOO_MANY = /\bsnapshots?\b.*\b(at most|limit|maximum)\b|\b(limit|maximum)\b.*\bsnapshots?\b/i;

/**
 * Which of Holdfast's codes a failure of ARM is. Decided by status, code and text together: Azure uses `OperationNotAllowed` for
 * throttling (429), for quotas (409) and for conflicts of state (409).
 */
export function classify(failure: ServiceFailure, otherwise: ErrorCode = 'internal'): ErrorCode {
  const { status, code = '', message = '' } = failure;
  const codes = [code, ...(failure.details ?? [])];
  const some = (set: ReadonlySet<string>) => codes.some((one) => set.has(one));
  if (status === 429 || some(THROTTLED) || TOO_MANY_REQUESTS.test(message)) return 'throttled';
  if (codes.includes('QuotaExceeded') || QUOTA.test(message)) return 'quotaExceeded';
  if (some(CAPACITY)) return 'capacityUnavailable';
  if (status === 401 || status === 402 || status === 403 || DENIED.has(code)) return 'accessDenied';
  if (TAGS.test(code)) return 'tagLimit';
  if (code === 'ScopeLocked') return 'locked';
  if (status === 404 || GONE.has(code)) return 'notFound';
  if (code === 'InvalidVhd') return 'invalidInput';
  if (status === 408) return 'timeout';
  if ((status !== undefined && status >= 500) || TRANSIENT.has(code)) return 'unavailable';
  if (some(BUSY)) return 'machineBusy';
  if (status === 409 && !SAS_OUTSTANDING.test(message)) {
    if (SNAPSHOTS_TOO_FAST.test(message)) return 'throttled';
    if (SNAPSHOTS_TOO_MANY.test(message)) return 'quotaExceeded';
  }
  if (status === 409 || status === 412 || code === 'OperationNotAllowed') return 'conflict';
  if (status === 400) return 'invalidInput';
  return otherwise;
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  accessDenied:
    'Check the role assignments of the identity; a new assignment can take ten minutes to have effect.',
  quotaExceeded: 'Ask for a higher quota, or free what is not used.',
  capacityUnavailable: 'Azure has no room for this size here now; another size, zone or region may have.',
  locked: 'Remove the lock of the resource, or of what holds it, if this is to be done.',
  tagLimit: 'Use fewer or other tags.',
  machineBusy: 'Another operation is under way on the resource; try again when it has ended.',
};

/** The failure as Holdfast's error: what was asked (`what`, e.g. `create snapshot`), of which resource, what was said, what to do. */
export function azureError(
  what: string,
  target: string,
  failure: ServiceFailure,
  otherwise?: ErrorCode,
): HoldfastError {
  const code = classify(failure, otherwise);
  const said = [
    failure.status === undefined ? '' : String(failure.status),
    failure.code ?? '',
    ...(failure.details ?? []).filter((detail) => detail !== failure.code),
  ];
  const text = firstLine(failure.message ?? '');
  const wait = failure.retryAfterSeconds === undefined ? '' : ` Retry after ${failure.retryAfterSeconds} s.`;
  const advice = ADVICE[code] === undefined ? '' : ` ${ADVICE[code]}`;
  const message = `${what}: Azure answered ${said.filter(Boolean).join(' ') || 'with a failure'}${text && `: ${text}`}${wait}${advice}`;
  return new HoldfastError(code, redact(message), { target });
}

/** `{"error":{"code","message","details":[{"code"}]}}`, or the same without the envelope; anything else gives what can be read of it. */
export function readFailure(
  body: string | undefined,
  status?: number,
  retryAfterSeconds?: number,
): ServiceFailure {
  const base = { status, retryAfterSeconds };
  try {
    const parsed = JSON.parse(body ?? '') as { error?: unknown };
    return { ...base, ...failureOf(parsed.error ?? parsed) };
  } catch {
    return { ...base, message: body?.slice(0, 300) };
  }
}

/** The `error` object of an ARM answer or of an operation's status. */
export function failureOf(error: unknown): ServiceFailure {
  if (typeof error !== 'object' || error === null) return typeof error === 'string' ? { message: error } : {};
  const { code, message, details } = error as { code?: unknown; message?: unknown; details?: unknown };
  return {
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof message === 'string' ? { message } : {}),
    details: (Array.isArray(details) ? (details as ({ code?: unknown } | null)[]) : [])
      .map((one) => one?.code)
      .filter((one): one is string => typeof one === 'string' && one !== ''),
  };
}

/** Something thrown on the way to a service (sockets, time-outs, credentials), as Holdfast's error. */
export function transportError(what: string, target: string, error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  const name = error instanceof Error ? error.name : '';
  const text = firstLine(error instanceof Error ? error.message : String(error));
  const options = { target, cause: undefined };
  if (name === 'TimeoutError' || name === 'AbortError' || /aborted|timed out/i.test(text)) {
    return new HoldfastError('timeout', redact(`${what}: no answer in time.`), options);
  }
  if (/Credential|Authentication/.test(name)) {
    return new HoldfastError(
      'accessDenied',
      redact(`${what}: no token for the identity: ${text}. Check that the identity exists and is assigned.`),
      options,
    );
  }
  return new HoldfastError('unavailable', redact(`${what}: the service was not reached: ${text}`), options);
}

const firstLine = (text: string): string => text.split(/\r?\n/, 1)[0]?.slice(0, 500) ?? '';
