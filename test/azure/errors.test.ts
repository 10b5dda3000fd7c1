import { describe, expect, it } from 'vitest';
import { azureError, classify, readFailure, redact, transportError } from '../../lib/azure/errors.ts';
import type { ErrorCode } from '../../lib/model/index.ts';

const throttle = {
  error: {
    code: 'OperationNotAllowed',
    message:
      'The server rejected the request because too many requests have been received for this subscription.',
    details: [
      {
        code: 'TooManyRequests',
        target: 'HighCostGet30Min',
        message: '{"operationGroup":"HighCostGet30Min"}',
      },
    ],
  },
};
const quota =
  'Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Deployment Model: Resource Manager, Location: westus, Current Limit: 100';
const activeSas =
  'There is an active shared access signature outstanding for snapshot s. Call EndGetAccess before attaching or deleting the snapshot.';

describe('a failure of Azure is classified by status, code and text together', () => {
  const cases: [status: number | undefined, code: string, message: string, expected: ErrorCode][] = [
    [429, 'OperationNotAllowed', throttle.error.message, 'throttled'],
    [409, 'OperationNotAllowed', quota, 'quotaExceeded'],
    [undefined, 'QuotaExceeded', 'no', 'quotaExceeded'],
    [409, 'OperationNotAllowed', activeSas, 'conflict'],
    [
      409,
      'OperationNotAllowed',
      'Disk d had 7 incremental snapshots in the last 5 minutes; at most 7 are allowed.',
      'throttled',
    ],
    [
      409,
      'OperationNotAllowed',
      'The maximum number of incremental snapshots for disk d is 500.',
      'quotaExceeded',
    ],
    [
      409,
      'SkuNotAvailable',
      'The requested VM size is currently not available in location',
      'capacityUnavailable',
    ],
    [undefined, 'AllocationFailed', 'Allocation failed.', 'capacityUnavailable'],
    [undefined, 'OverconstrainedZonalAllocationRequest', '', 'capacityUnavailable'],
    [403, 'AuthorizationFailed', 'The client does not have authorization', 'accessDenied'],
    [403, 'LinkedAuthorizationFailed', 'beginGetAccess on the linked scope', 'accessDenied'],
    [403, 'RequestDisallowedByPolicy', '', 'accessDenied'],
    [404, 'ResourceNotFound', '', 'notFound'],
    [404, 'ResourceGroupNotFound', '', 'notFound'],
    [409, 'AnotherOperationInProgress', '', 'machineBusy'],
    [409, 'AttachDiskWhileBeingDetached', '', 'machineBusy'],
    [409, 'ConflictingUserInput', 'Disk already exists', 'conflict'],
    [409, 'ScopeLocked', '', 'locked'],
    [400, 'InvalidVhd', 'The specified cookie value in VHD footer indicates', 'invalidInput'],
    [400, 'TooManyTags', '', 'tagLimit'],
    [400, 'InvalidParameter', '', 'invalidInput'],
    [500, 'InternalServerError', '', 'unavailable'],
    [undefined, 'InternalExecutionError', '', 'unavailable'],
    [undefined, 'SomethingNew', '', 'snapshotFailed'],
  ];
  it.each(cases)('%s %s "%s" is %s', (status, code, message, expected) => {
    expect(classify({ status, code, message }, 'snapshotFailed')).toBe(expected);
  });

  it('reads the codes of details, where Compute says that it throttles', () => {
    const failure = readFailure(JSON.stringify(throttle), 429, 17);
    expect(failure).toEqual({
      status: 429,
      code: 'OperationNotAllowed',
      message: throttle.error.message,
      details: ['TooManyRequests'],
      retryAfterSeconds: 17,
    });
    const error = azureError('read disk "d"', '/subscriptions/s', failure);
    expect(error).toMatchObject({ code: 'throttled', retryable: true, target: '/subscriptions/s' });
    expect(error.message).toBe(
      `read disk "d": Azure answered 429 OperationNotAllowed TooManyRequests: ${throttle.error.message} Retry after 17 s.`,
    );
  });

  it('survives a body that is no JSON', () => {
    expect(classify(readFailure('<html>Bad gateway</html>', 502))).toBe('unavailable');
    expect(classify(readFailure('null', 400))).toBe('invalidInput');
    expect(classify(readFailure(undefined, 404))).toBe('notFound');
  });
});

describe('a message never holds a secret', () => {
  it('redacts signatures, policy ids and tokens wherever they stand', () => {
    const sas =
      'https://md-x.z25.blob.storage.azure.net/c/abcd?snapshot=2021&sv=2018&sr=bs&si=8db366&sig=84d%2Fabc%3D';
    const text = redact(`copy from ${sas}, then "${sas}&comp=page" with Bearer eyJ0.eyJ1.sig-n_`);
    expect(text).not.toMatch(/8db366|84d|eyJ/);
    expect(text).toContain('snapshot=2021&sv=2018&sr=bs&si=REDACTED&sig=REDACTED&comp=page');
  });

  it('also in errors made from what a service said or a socket did', () => {
    const said = 'refused https://h/c?sv=1&sig=SECRET here';
    expect(azureError('x', 't', { status: 400, message: said }).message).not.toContain('SECRET');
    expect(transportError('x', 't', new Error(said)).message).not.toContain('SECRET');
  });
});

describe('a failure on the way to a service', () => {
  it('is a time-out, a missing identity, or an unreached service', () => {
    const named = (name: string, message = 'm') => Object.assign(new Error(message), { name });
    expect(transportError('x', 't', named('TimeoutError')).code).toBe('timeout');
    expect(transportError('x', 't', named('AbortError')).code).toBe('timeout');
    expect(transportError('x', 't', named('CredentialUnavailableError')).code).toBe('accessDenied');
    expect(transportError('x', 't', named('RestError', 'connect ECONNREFUSED')).code).toBe('unavailable');
  });
});
