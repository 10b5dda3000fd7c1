import { type BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type ClaimAnswer,
  claimAnswerSchema,
  JOB_SCHEMA_VERSION,
  MAX_ATTEMPTS,
  MiB,
} from '../../lib/model/index.ts';
import { DEMO } from '../../local/demo/subscription.ts';
import { NAMES } from '../../local/deployment.ts';
import { guestEvents, jobWindows } from './guestLog.ts';
import { holdReads, readsStarted } from './heldReads.ts';
import { Rig, SESSION_MS } from './rig.ts';
import { until } from './until.ts';

/**
 * What happens to workers, seen from outside: their processes are killed and stopped, calls are made with their tokens. That
 * a claim runs out after two minutes is tested with a clock of its own in test/workers; here nobody waits that long.
 */
/** Blocks of a disk that are read back before a commit. */
const READ_BACK = 8;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start(
    { killed: [64 * MiB, 32 * MiB], doubled: [64 * MiB], poisoned: [48 * MiB] },
    // A kept VM keeps its console, where its worker says what it does.
    { HOLDFAST_WORKER_KEEP: '4' },
  );
}, 120_000);
afterEach(async () => {
  await rig.admin.call('clearFaults');
});
afterAll(async () => {
  await rig?.end();
}, 60_000);

const events = () => guestEvents(rig.state.file('azure'));
const startsOf = (sessionId: string) =>
  events().filter((said) => said.sessionId === sessionId && said.event === 'job.started');
const backUp = (machine: string) => rig.api.startBackup({ machine, mover: 'worker' });

/** Process group of the running worker, once it is another than `before`. */
const guestPid = (before?: number) =>
  until('a running guest', async () => {
    const [one] = await rig.admin.call('runningGuests');
    return one?.pid !== before ? one?.pid : undefined;
  });
const signal = (group: number, name: NodeJS.Signals) => process.kill(-group, name);

/** The identity of the VM that last took a token of its metadata service. */
async function workerPrincipal(): Promise<string> {
  const tokens = await rig.admin.call('requests', { surface: 'imds', path: 'oauth2/token' });
  const principal = tokens.at(-1)?.principal;
  if (principal === undefined) throw new Error('No worker has taken a token.');
  return principal;
}

async function workerCall(verb: string, body: unknown, token?: string): Promise<Response> {
  return fetch(`${rig.system.url}/api/worker/${verb}`, {
    method: 'POST',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
}
const tokenOf = async (principalId: string, resource: string = DEMO.workerAudience) =>
  (await rig.admin.call('issueToken', { principalId, resource })).token;

test('a worker that is killed in the middle of a move is started anew by its VM, and the restore point is right', async () => {
  const held = await holdReads(rig, { skip: 4 });
  const before = (await readsStarted(rig)).length;
  const id = await backUp('killed');
  await held.met();
  signal(await guestPid(), 'SIGKILL');
  await held.release();
  const session = await rig.api.wait(id, SESSION_MS);
  expect(session).toMatchObject({ status: 'succeeded', error: null, warnings: [] });

  const cutOff = startsOf(id).find(({ attempt }) => attempt === 2)?.jobId;
  expect(cutOff).toMatch(/^move-/);
  expect(startsOf(id).filter(({ jobId }) => jobId === cutOff)).toHaveLength(2);
  // Nobody but a worker at its job has read the snapshots: nothing was read while there was none.
  const windows = jobWindows(events());
  const reads = (await readsStarted(rig)).slice(before);
  expect(reads.length).toBeGreaterThan(8);
  const others = reads.filter((at) => !windows.some(({ from, to }) => from <= at && at <= to));
  // But the app, which compares a few blocks of each disk before it commits.
  const lastMove = Math.max(...windows.map(({ to }) => to));
  expect(others.filter((at) => at < lastMove)).toEqual([]);
  expect(others.length).toBeLessThanOrEqual(2 * READ_BACK);

  await rig.everythingReleased();
  expect(await rig.restoredDigests(await rig.pointOf(session), 'killed-')).toEqual(rig.digests('killed'));
}, 150_000);

test('of two processes of one worker at one shard the later claim counts, and its SAS can only create and read', async () => {
  const held = await holdReads(rig, { skip: 3 });
  const id = await backUp('doubled');
  await held.met();
  const first = await guestPid();
  // It is there, and says nothing any more.
  signal(first, 'SIGSTOP');
  const token = await tokenOf(await workerPrincipal());
  const claimed = await workerCall('claim', { schemaVersion: JOB_SCHEMA_VERSION }, token);
  expect(claimed.status).toBe(200);
  const { job } = claimAnswerSchema.parse(await claimed.json());
  if (!job) throw new Error('The second process was given nothing to do.');
  expect(job).toMatchObject({ sessionId: id, attempt: 2, spec: { kind: 'move' } });
  await expectCreateAndReadOnly(job.secrets);

  signal(first, 'SIGCONT');
  await held.release();
  const session = await rig.api.wait(id, SESSION_MS);
  expect(session).toMatchObject({ status: 'succeeded', error: null });
  // The first process was told that its attempt is gone, asked for work again, and did it in a third one.
  const said = events().filter((one) => one.sessionId === id && one.jobId === job.jobId);
  expect(said.map(({ event, attempt }) => `${event} ${attempt}`)).toEqual([
    'job.started 1',
    'job.gone 1',
    'job.started 3',
    'job.completed 3',
  ]);
  const late = await workerCall(
    'complete',
    {
      sessionId: id,
      jobId: job.jobId,
      attempt: 2,
      result: {
        kind: 'move',
        map: 'nobody',
        mapTag: '00',
        readBytes: 0,
        storedBytes: 0,
        packs: 0,
        blocksStored: 0,
        blocksReused: 0,
        blocksZero: 0,
      },
    },
    token,
  );
  expect([late.status, await late.json()]).toEqual([200, { gone: true }]);
  expect(await rig.restoredDigests(await rig.pointOf(session), 'doubled-')).toEqual(rig.digests('doubled'));
  await rig.everythingReleased();
}, 150_000);

test('a job that ends every worker is poisoned after four attempts, with all reasons, and leaves nothing', async () => {
  const from = new Date().toISOString();
  const held = await holdReads(rig, { times: 1000 });
  const id = await backUp('poisoned');
  let pid: number | undefined;
  let reads = 0;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    await until(`attempt ${attempt}`, () =>
      startsOf(id).some((start) => start.jobId === 'move-0-0' && start.attempt === attempt),
    );
    await held.met(reads + 1);
    reads = await held.fired();
    pid = await guestPid(pid);
    signal(pid, 'SIGKILL');
  }
  const session = await rig.api.wait(id, SESSION_MS);
  await held.release();
  expect(session).toMatchObject({ status: 'failed', restorePoint: null, error: { code: 'jobPoisoned' } });
  const reasons = [
    ...(session.error?.message ?? '').matchAll(/attempt (\d) on (\S+): abandoned: Worker \2 asked/g),
  ];
  expect(reasons.map(([, attempt]) => attempt)).toEqual(['1', '2', '3', '4']);

  await rig.everythingReleased();
  const snapshots = async (method: string) =>
    (await rig.admin.call('requests', { surface: 'arm', method, path: '/snapshots/[^/?]+\\?' }))
      .filter(({ time, status }) => time >= from && status > 0 && status < 300)
      .map(({ path }) => /snapshots\/([^?]+)/.exec(path)?.[1]);
  expect(await snapshots('PUT')).toHaveLength(1);
  expect(await snapshots('DELETE')).toEqual(await snapshots('PUT'));
  expect((await rig.check()).findings).toEqual([]);

  const next = await rig.backUp('poisoned', 'worker');
  expect(next).toMatchObject({ status: 'succeeded', disks: [{ readReason: 'first' }] });
}, 200_000);

test('a worker is let in by its own token only, and by that only to the calls of workers', async () => {
  const principal = await workerPrincipal();
  const own = await tokenOf(principal);
  const { objectId: stranger } = await rig.admin.call('addPrincipal', { name: 'stranger' });
  const claim = { schemaVersion: JOB_SCHEMA_VERSION };
  const refused = {
    'no token': undefined,
    'no JWT': 'abc.def.ghi',
    'a stranger of the tenant': await tokenOf(stranger),
    'another audience': await tokenOf(principal, 'https://storage.azure.com'),
    'another app': await tokenOf(principal, 'api://somebody-else'),
    'a broken signature': `${own.slice(0, -8)}AAAAAAAA`,
  };
  for (const [what, token] of Object.entries(refused)) {
    for (const verb of ['claim', 'renew', 'complete', 'fail']) {
      const answer = await workerCall(verb, claim, token);
      expect([what, verb, answer.status, answer.headers.get('x-ms-error-code')]).toEqual([
        what,
        verb,
        401,
        'unauthorized',
      ]);
    }
  }
  expect((await workerCall('claim', claim, own)).status).toBe(200);
  for (const path of ['sessions', 'machines', 'restorePoints', 'policies']) {
    const answer = await fetch(`${rig.system.url}/api/${path}?api-version=2026-11-01`, {
      headers: { authorization: `Bearer ${own}` },
    });
    expect([path, answer.status]).toEqual([path, 401]);
  }
  // Nor does the token open storage by itself: no role was given to the VM. (Azurite knows no roles; the simulator's ARM does.)
  const arm = await tokenOf(principal, 'https://management.azure.com');
  const { armUrl } = await rig.admin.call('endpoints');
  const vms = await fetch(
    `${armUrl}/subscriptions/${DEMO.subscriptionId}/providers/Microsoft.Compute/virtualMachines?api-version=2025-04-01`,
    { headers: { authorization: `Bearer ${arm}` } },
  );
  expect(vms.status).toBe(403);
}, 60_000);

/** Tries everything with the SAS of a claim, through the SDK. */
async function expectCreateAndReadOnly(secrets: NonNullable<ClaimAnswer['job']>['secrets']): Promise<void> {
  const status = (call: Promise<unknown>) =>
    call.then(
      () => 'done',
      (error: { statusCode?: number }) => error.statusCode ?? 'no answer',
    );
  const noRetry = { retryOptions: { maxTries: 1 } };
  const put = (blob: BlockBlobClient) => blob.upload('new', 3, { conditions: { ifNoneMatch: '*' } });
  for (const url of [secrets.dataUrl, secrets.stagingUrl]) {
    const container = new ContainerClient(url, undefined, noRetry);
    const mine = container.getBlockBlobClient(`tried-${crypto.randomUUID()}`);
    expect(await status(put(mine)), 'create').toBe('done');
    expect(await status(mine.downloadToBuffer()), 'read').toBe('done');
    expect(await status(mine.upload('other', 5)), 'overwrite').toBe(403);
    expect(await status(mine.setMetadata({ a: 'b' })), 'metadata').toBe(403);
    expect(await status(mine.delete()), 'delete').toBe(403);
    expect(await status(container.listBlobsFlat().next()), 'list').toBe(403);
    expect(await status(container.delete()), 'delete the container').toBe(403);
  }
  const meta = new URL(secrets.dataUrl);
  meta.pathname = meta.pathname.replace(NAMES.data, NAMES.meta);
  const beyond = new ContainerClient(meta.href, undefined, noRetry);
  expect(await status(beyond.getBlobClient('holdfast').download()), 'meta').toBe(403);
  expect(await status(beyond.listBlobsFlat().next()), 'list meta').toBe(403);
  expect(await status(put(beyond.getBlockBlobClient('tried'))), 'create in meta').toBe(403);
  const written = await fetch(`${secrets.sourceUrl}&comp=page`, {
    method: 'PUT',
    headers: {
      'x-ms-page-write': 'clear',
      'x-ms-range': 'bytes=0-511',
      'x-ms-version': '2021-04-10',
      'content-length': '0',
    },
  });
  expect(written.status, 'write to the snapshot').toBeGreaterThanOrEqual(403);
}
