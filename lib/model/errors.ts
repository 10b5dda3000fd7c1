/**
 * Every failure that Holdfast itself raises: one closed union of codes, so that a caller can switch over them.
 * The message is for a person: what failed, on what, what to do. It never holds a secret.
 */
export const ERROR_CODES = [
  // asked for something that cannot be
  'invalidInput',
  'notFound',
  'conflict',
  'unauthorized',
  'forbidden',
  'notConfigured',
  'unsupported',
  // the machine and its cloud
  'machineGone',
  'machineBusy',
  'tagLimit',
  'locked',
  'snapshotFailed',
  'guestScriptFailed',
  'diskUnsupported',
  'quotaExceeded',
  'capacityUnavailable',
  'throttled',
  'accessDenied',
  'accessExpired',
  'diffFailed',
  'workerNotReady',
  'jobPoisoned',
  // the repository
  'alreadyExists',
  'preconditionFailed',
  'wrongPassword',
  'repositoryMismatch',
  'corruptObject',
  'missingObject',
  'claimLost',
  'notOwner',
  // the run
  'previousRunning',
  'cancelled',
  'abandoned',
  'timeout',
  'unavailable',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Codes after which the same call may succeed later, with nothing changed by a person. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'machineBusy',
  'throttled',
  'accessExpired',
  'timeout',
  'unavailable',
  'capacityUnavailable',
]);

export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** What the failure is about: an object name, a resource id, a field of the input. */
  readonly target: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { target?: string; cause?: unknown; retryable?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.target = options.target;
    this.retryable = options.retryable ?? RETRYABLE.has(code);
  }
}

/** A failure as data: what an activity returns, a row keeps, and the API shows. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly target?: string | undefined;
  readonly retryable: boolean;
}

export const isHoldfastError = (error: unknown, code?: ErrorCode): error is HoldfastError =>
  error instanceof HoldfastError && (code === undefined || error.code === code);

/** Any thrown thing as a `Failure`. What Holdfast did not raise itself is `internal`, and keeps its message. */
export function toFailure(error: unknown): Failure {
  if (error instanceof HoldfastError) {
    const { code, message, target, retryable } = error;
    return { code, message, retryable, ...(target === undefined ? {} : { target }) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message, retryable: false };
}

export const fromFailure = (failure: Failure): HoldfastError =>
  new HoldfastError(failure.code, failure.message, {
    retryable: failure.retryable,
    ...(failure.target === undefined ? {} : { target: failure.target }),
  });
