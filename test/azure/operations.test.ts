import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DiskGrants } from '../../lib/azure/grants.ts';
import { type Operation, pollOperation } from '../../lib/azure/operations.ts';
import { Snapshots } from '../../lib/azure/snapshots.ts';
import { failure } from './failure.ts';
import { armError, ScriptedArm, SUBSCRIPTION } from './scriptedArm.ts';

const arm = new ScriptedArm();
beforeAll(() => arm.start());
beforeEach(() => arm.reset());
afterAll(() => arm.stop());

const request = {
  subscriptionId: SUBSCRIPTION,
  resourceGroup: 'vms',
  name: 'hf-s1-d0',
  location: 'westeurope',
  sourceDiskId: `/subscriptions/${SUBSCRIPTION}/resourceGroups/vms/providers/Microsoft.Compute/disks/d0`,
  tags: { 'holdfast:owner': 's1' },
};
const id = Snapshots.idOf(request);
const operationPath = '/subscriptions/s/providers/Microsoft.Compute/locations/westeurope/DiskOperations/op1';
const SAS =
  'https://md-zq32.z25.blob.storage.azure.net/gpvd/abcd?snapshot=2021&sv=2018-11-09&sr=bs&si=8db3&sig=SECRET';

/** ARM's first answer to a PUT, POST or DELETE of the disk provider. */
const accepted = (retryAfter = '2') => ({
  status: 202,
  headers: {
    location: `${arm.base}${operationPath}?p=guid&monitor=true&api-version=2026-03-02`,
    'azure-asyncoperation': `${arm.base}${operationPath}?p=guid&api-version=2026-03-02`,
    'retry-after': retryAfter,
  },
});

describe('an operation that is started here and polled there', () => {
  it('is small, plain data, and ends when ARM says so', async () => {
    arm.on('PUT', /snapshots\/hf-s1-d0$/, {
      ...accepted(),
      body: { location: 'westeurope', properties: { provisioningState: 'Updating', incremental: true } },
    });
    const started = await new Snapshots(arm.connection()).startCreate(request);
    const kept = JSON.stringify(started);
    expect(kept.length).toBeLessThan(2048);
    expect(JSON.parse(kept)).toEqual({
      what: 'take snapshot "hf-s1-d0"',
      resourceId: id,
      via: 'operation',
      url: `${arm.base}${operationPath}?p=guid&api-version=2026-03-02`,
      retryAfterSeconds: 2,
      otherwise: 'snapshotFailed',
    });
    expect(arm.seen[0]?.body).toEqual({
      location: 'westeurope',
      tags: { 'holdfast:owner': 's1' },
      properties: {
        creationData: { createOption: 'Copy', sourceResourceId: request.sourceDiskId },
        incremental: true,
      },
    });
    expect(arm.seen).toHaveLength(1);

    // Another process, later.
    const there = arm.connection();
    const operation = JSON.parse(kept) as Operation;
    arm.on('GET', /DiskOperations\/op1$/, {
      status: 200,
      headers: { 'retry-after': '15' },
      body: { startTime: '2022-06-01T10:08:39.8704151-04:00', status: 'InProgress', name: 'op1' },
    });
    expect(await pollOperation(there, operation)).toEqual({ status: 'running', retryAfterSeconds: 15 });
    arm.on('GET', /DiskOperations\/op1$/, {
      status: 200,
      body: { status: 'Succeeded', properties: { output: { accessSAS: SAS } }, name: 'op1' },
    });
    expect(await pollOperation(there, operation)).toEqual({ status: 'succeeded' });
    expect(arm.seen.at(-1)?.headers.authorization).toMatch(/^Bearer /);
  });

  it.each([
    ['AllocationFailed', 'no capacity', 'capacityUnavailable', true],
    ['OperationNotAllowed', 'Operation results in exceeding quota limits of Core.', 'quotaExceeded', false],
    ['InternalExecutionError', 'An internal execution error occurred.', 'unavailable', true],
    ['SomethingElse', `bad ${SAS}`, 'snapshotFailed', false],
  ] as const)('that failed with %s keeps its code', async (code, message, expected, retryable) => {
    arm.on('GET', /op1$/, { status: 200, body: { status: 'Failed', error: { code, message } } });
    const state = await pollOperation(arm.connection(), operation());
    expect(state).toMatchObject({ status: 'failed', failure: { code: expected, retryable, target: id } });
    expect(JSON.stringify(state)).not.toContain('SECRET');
    expect(JSON.stringify(state)).toContain(code);
  });

  it('that was cancelled has failed', async () => {
    arm.on('GET', /op1$/, { status: 200, body: { status: 'Canceled' } });
    expect(await pollOperation(arm.connection(), operation())).toMatchObject({ status: 'failed' });
  });

  it('that Azure has forgotten may be started again', async () => {
    expect(await pollOperation(arm.connection(), operation())).toMatchObject({
      status: 'failed',
      failure: { code: 'unavailable', retryable: true, target: id },
    });
  });

  it('is asked about at ARM only: the token goes nowhere else', async () => {
    const elsewhere = { ...operation(), url: 'https://127.0.0.1:1/steal' };
    expect(await failure(pollOperation(arm.connection(), elsewhere))).toMatchObject({ code: 'invalidInput' });
    expect(arm.seen).toHaveLength(0);
  });

  it('that has a Location only ends with 200, and fails with its answer', async () => {
    arm.on('DELETE', /hf-s1-d0$/, { status: 202, headers: { location: `${arm.base}/loc?api-version=1` } });
    const started = await new Snapshots(arm.connection()).startRemove(id);
    expect(started).toMatchObject({ via: 'location' });
    arm.on('GET', /^\/loc$/, { status: 202, headers: { 'retry-after': '3' } });
    expect(await pollOperation(arm.connection(), started)).toEqual({
      status: 'running',
      retryAfterSeconds: 3,
    });
    arm.on('GET', /^\/loc$/, armError(409, 'AnotherOperationInProgress'));
    expect(await failure(pollOperation(arm.connection(), started))).toMatchObject({ code: 'machineBusy' });
    arm.on('GET', /^\/loc$/, armError(409, 'ScopeLocked'));
    expect(await pollOperation(arm.connection(), started)).toMatchObject({
      status: 'failed',
      failure: { code: 'locked' },
    });
    arm.on('GET', /^\/loc$/, { status: 204 });
    expect(await pollOperation(arm.connection(), started)).toEqual({ status: 'succeeded' });
  });

  it('is done at once when ARM is, and when there is nothing to delete', async () => {
    arm.on('DELETE', /hf-s1-d0$/, { status: 204 });
    const snapshots = new Snapshots(arm.connection());
    expect(await pollOperation(arm.connection(), await snapshots.startRemove(id))).toEqual({
      status: 'succeeded',
    });
    arm.reset();
    expect(await snapshots.startRemove(id)).toMatchObject({ via: 'none', url: '' });
  });

  it('is never started with tags that Azure would refuse', async () => {
    const tags = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`t${i}`, 'v']));
    expect(await failure(new Snapshots(arm.connection()).startCreate({ ...request, tags }))).toMatchObject({
      code: 'tagLimit',
    });
    expect(arm.seen).toHaveLength(0);
  });
});

describe('every call', () => {
  const get = (options = {}) => new Snapshots(arm.connection(options)).get(id);

  it('waits for a short Retry-After and goes on', async () => {
    let calls = 0;
    arm.on('GET', /hf-s1-d0$/, () =>
      ++calls === 1
        ? armError(429, 'TooManyRequests', 'x', { 'retry-after': '0' })
        : { status: 200, body: { id, location: 'l' } },
    );
    expect((await get()).id).toBe(id);
    expect(calls).toBe(2);
  });

  it('does not sleep on a long Retry-After: it says how long', async () => {
    arm.on(
      'GET',
      /hf-s1-d0$/,
      armError(429, 'SubscriptionRequestsThrottled', 'slow down', { 'retry-after': '300' }),
    );
    const error = await failure(get());
    expect(error).toMatchObject({ code: 'throttled', retryable: true, target: id });
    expect(error.message).toContain('Retry after 300 s.');
    expect(arm.seen).toHaveLength(1);
  });

  it('ends in time with a silent server', async () => {
    arm.on('GET', /hf-s1-d0$/, { status: 200, silent: true });
    expect(await failure(get({ timeoutMs: 50 }))).toMatchObject({
      code: 'timeout',
      retryable: true,
      target: id,
    });
  });

  it('ends with the caller’s own reason', async () => {
    arm.on('GET', /hf-s1-d0$/, { status: 200, silent: true });
    const reason = new Error('cancelled by the session');
    const snapshots = new Snapshots(arm.connection());
    await expect(snapshots.get(id, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('without a token is accessDenied, and nothing is sent', async () => {
    const credential = {
      getToken: () =>
        Promise.reject(Object.assign(new Error('no identity'), { name: 'CredentialUnavailableError' })),
    };
    expect(await failure(get({ credential }))).toMatchObject({ code: 'accessDenied' });
    expect(arm.seen).toHaveLength(0);
  });
});

describe('access to a snapshot', () => {
  it('is granted in memory: the operation’s own answer has the SAS', async () => {
    let polls = 0;
    arm.on('POST', /hf-s1-d0\/beginGetAccess$/, accepted());
    arm.on('GET', /op1$/, () => ({
      status: 200,
      body:
        ++polls < 4
          ? { status: 'InProgress' }
          : { status: 'Succeeded', properties: { output: { accessSAS: SAS } } },
    }));
    expect(await new DiskGrants(arm.connection()).grantAccess(id, 'Read', 3600)).toBe(SAS);
    expect(arm.seen[0]?.body).toEqual({ access: 'Read', durationInSeconds: 3600 });
    expect(arm.slept).toEqual([500, 1000, 2000]);
  });

  it('is waited for at most 40 seconds', async () => {
    arm.on('POST', /beginGetAccess$/, accepted());
    arm.on('GET', /op1$/, { status: 200, body: { status: 'InProgress' } });
    expect(await failure(new DiskGrants(arm.connection()).grantAccess(id, 'Read', 3600))).toMatchObject({
      code: 'timeout',
    });
    expect(arm.slept.reduce((a, b) => a + b)).toBeLessThanOrEqual(40_000);
  });

  it('is refused with a conflict while it cannot be, and is never asked of other resources', async () => {
    arm.on(
      'POST',
      /beginGetAccess$/,
      armError(409, 'OperationNotAllowed', 'shared access signatures are outstanding for 5 snapshots'),
    );
    const grants = new DiskGrants(arm.connection());
    expect(await failure(grants.grantAccess(id, 'Read', 3600))).toMatchObject({ code: 'conflict' });
    expect(await failure(grants.grantAccess(id.replace('snapshots', 'images'), 'Read', 1))).toMatchObject({
      code: 'invalidInput',
    });
  });

  it('is revoked as often as one likes, and of what is gone', async () => {
    const grants = new DiskGrants(arm.connection());
    await grants.revokeAccess(id);
    arm.on('POST', /endGetAccess$/, accepted());
    arm.on('GET', /op1$/, { status: 200, body: { status: 'Succeeded' } });
    await grants.revokeAccess(id);
    expect(arm.seen.filter(({ method }) => method === 'POST')).toHaveLength(2);
    // Deleted while it was being revoked.
    arm.on('GET', /op1$/, {
      status: 200,
      body: { status: 'Failed', error: { code: 'ResourceNotFound', message: 'gone' } },
    });
    await grants.revokeAccess(id);
  });

  it('ends for an upload with the check of its footer', async () => {
    const message =
      "The specified cookie value in VHD footer indicates that disk 'abcd' with blob https://md-impexp is not a supported VHD.";
    arm.on('POST', /endGetAccess$/, accepted());
    arm.on('GET', /op1$/, {
      status: 200,
      body: { status: 'Failed', error: { code: 'InvalidVhd', message } },
    });
    const disk = request.sourceDiskId;
    const error = await failure(new DiskGrants(arm.connection()).revokeAccess(disk));
    expect(error).toMatchObject({ code: 'invalidInput', target: disk });
    expect(error.message).toContain('cookie value');
    arm.on('POST', /endGetAccess$/, armError(400, 'InvalidVhd', message));
    expect(await failure(new DiskGrants(arm.connection()).revokeAccess(disk))).toMatchObject({
      code: 'invalidInput',
    });
  });
});

function operation(): Operation {
  return {
    what: 'take snapshot "hf-s1-d0"',
    resourceId: id,
    via: 'operation',
    url: `${arm.base}${operationPath}?p=guid&api-version=2026-03-02`,
    retryAfterSeconds: 2,
    otherwise: 'snapshotFailed',
  };
}
