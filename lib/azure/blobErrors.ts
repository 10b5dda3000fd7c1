import { type ErrorCode, HoldfastError, isHoldfastError } from '../model/index.ts';
import { redact, transportError } from './errors.ts';

/** What is known of a failed call to a storage service. */
interface StorageFailure {
  readonly status: number;
  /** `x-ms-error-code`; a HEAD has no body. */
  readonly code: string;
  readonly message: string;
}

export interface StorageContext {
  /** `read`, `create`, ...; for the message. */
  readonly verb: string;
  /** The object, or the container's name for a listing. */
  readonly target: string;
  /** Account and container. */
  readonly store: string;
  /** By SAS: when it ends. A refusal may mean that its time is over. Null: by credential. */
  readonly sasEnds: Date | null;
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  BlobNotFound: 'missingObject',
  ContainerNotFound: 'notConfigured',
  BlobAlreadyExists: 'alreadyExists',
  ConditionNotMet: 'preconditionFailed',
  TargetConditionNotMet: 'preconditionFailed',
  ServerBusy: 'throttled',
  OperationTimedOut: 'unavailable',
  InternalError: 'unavailable',
  ContainerBeingDeleted: 'unavailable',
  // Of page blobs in premium accounts: one snapshot in ten minutes, a hundred in all.
  SnapshotOperationRateExceeded: 'throttled',
  SnapshotCountExceeded: 'quotaExceeded',
  InvalidRange: 'invalidInput',
};

/** Anything that a call of the storage SDK throws, as `HoldfastError` about the object. A caller's abort is thrown as it is. */
export function blobError(error: unknown, context: StorageContext, signal?: AbortSignal): HoldfastError {
  if (signal?.aborted) throw signal.reason;
  if (isHoldfastError(error)) return error;
  const what = `${context.verb} "${context.target}" in ${context.store}`;
  const failure = readStorageFailure(error);
  if (failure === null) return transportError(what, context.target, error);
  const code = codeOf(failure, context);
  const hint = code === 'notConfigured' ? ' The container does not exist.' : '';
  const said = [failure.status, failure.code].filter(Boolean).join(' ');
  const text = failure.message && failure.message !== failure.code ? `: ${failure.message}` : '.';
  return new HoldfastError(code, redact(`${what}: storage answered ${said}${text}${hint}`), {
    target: context.target,
  });
}

function codeOf({ status, code }: StorageFailure, context: StorageContext): ErrorCode {
  const known = CODES[code];
  // Put Blob with If-None-Match: * answers 409; a SAS without the right to write answers 403 for the same fact.
  if (context.verb === 'create') {
    if (code === 'UnauthorizedBlobOverwrite' || status === 412) return 'alreadyExists';
  }
  if (known !== undefined) return known;
  if (status === 403 && context.sasEnds !== null) {
    // Storage says AuthenticationFailed of a SAS that is over, and of one whose key was revoked: a fresh one helps both.
    if (code === 'AuthenticationFailed' || context.sasEnds.getTime() <= Date.now()) return 'accessExpired';
  }
  if (status === 401 || status === 403) return 'accessDenied';
  if (status === 404) return 'missingObject';
  if (status === 412) return 'preconditionFailed';
  if (status === 408) return 'timeout';
  if (status === 429 || status === 503) return 'throttled';
  if (status >= 500) return 'unavailable';
  if (status === 409) return 'conflict';
  return 'invalidInput';
}

function readStorageFailure(error: unknown): StorageFailure | null {
  if (typeof error !== 'object' || error === null) return null;
  const { statusCode, code, message, details } = error as {
    statusCode?: unknown;
    code?: unknown;
    message?: string;
    details?: { errorCode?: unknown; message?: string; code?: unknown };
  };
  if (typeof statusCode !== 'number') return null;
  const named = [details?.errorCode, details?.code, code].find(
    (one): one is string => typeof one === 'string' && one !== '',
  );
  const text = typeof details?.message === 'string' ? details.message : (message ?? '');
  return {
    status: statusCode,
    code: named ?? '',
    message: text.split('\n', 1)[0]?.slice(0, 300) ?? '',
  };
}
