import { afterAll, beforeAll, expect, test } from 'vitest';
import { MiB, type RestorePoint, restorePointName, type Session } from '../../lib/model/index.ts';
import { DEMO } from '../../local/demo/subscription.ts';
import { holdReads } from './heldReads.ts';
import { type Answer, type Order, Rig, SESSION_MS } from './rig.ts';
import { digestOf } from './smallMachine.ts';

/** The HTTP API as somebody with curl sees it. */
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start({ web: [48 * MiB, 32 * MiB], spare: [32 * MiB] });
}, 120_000);
afterAll(async () => {
  await rig?.end();
}, 60_000);

interface Envelope {
  readonly error: { readonly code: string; readonly message: string; readonly target?: string };
}
type ShownSession = Session & { readonly percent: number | null };
const get = (path: string, order?: Order) => rig.call('GET', path, order);
const post = (path: string, body: unknown) => rig.call('POST', path, { body });
const idOf = ({ body }: Answer) => (body as { id: string }).id;
const value = <T>({ body }: Answer) => (body as { value: T[] }).value;

/** Every refusal has the same shape: status, the code also in a header, words for a person, what it is about. */
function expectRefusal(answer: Answer, status: number, code: string, target?: string): Envelope['error'] {
  const { error } = answer.body as Envelope;
  expect({ status: answer.status, header: answer.headers.get('x-ms-error-code'), ...error }).toEqual({
    status,
    header: code,
    code,
    message: expect.stringMatching(/^\S.{10,}[.:]/),
    ...(target === undefined ? {} : { target }),
  });
  expect(Object.keys(answer.body as object)).toEqual(['error']);
  return error;
}

test('a call without a key, or with a wrong one, is refused before anything is looked at', async () => {
  const { url } = rig.system;
  for (const headers of [{}, { 'x-functions-key': 'wrong' }, { authorization: 'Bearer a.b.c' }]) {
    for (const [method, path] of [
      ['GET', 'sessions'],
      ['POST', 'backups'],
      ['PUT', 'policies/p'],
      ['GET', 'nothing?code=wrong'],
    ] as const) {
      const answer = await fetch(`${url}/api/${path}`, { method, headers: { ...headers } });
      expect([path, answer.status]).toEqual([path, path.startsWith('nothing') ? 404 : 401]);
      expect(await answer.text()).toBe('');
    }
  }
  // The key opens the API; administration of the host wants another one.
  const admin = await fetch(`${url}/admin/functions/sweep`, {
    method: 'POST',
    headers: { 'x-functions-key': rig.system.key },
  });
  expect(admin.status).toBe(401);
});

test('each call names the version that it was written for', async () => {
  for (const query of ['', 'api-version=', 'api-version=2020-01-01', 'apiversion=2026-11-01']) {
    const { message } = expectRefusal(await get('sessions', { query }), 400, 'invalidInput', 'api-version');
    expect(message).toContain('2026-11-01');
  }
});

test('what is not there is 404 and says what is missing', async () => {
  const gone = '0000000000000000/7';
  expectRefusal(await post('backups', { machine: 'nobody' }), 404, 'notFound', 'nobody');
  expectRefusal(await post('restores', { restorePoint: gone }), 404, 'notFound', 'restorePoint');
  expectRefusal(await get('sessions/01m800000000000000zz'), 404, 'notFound', 'id');
  expectRefusal(await get('sessions/no-such-id'), 404, 'notFound', 'id');
  expectRefusal(await rig.call('POST', 'sessions/nothing/cancel'), 404, 'notFound', 'id');
  expectRefusal(await get('policies/nothing'), 404, 'notFound', 'id');
  expectRefusal(await rig.call('POST', 'policies/nothing/start'), 404, 'notFound', 'id');
  expectRefusal(await get('machines/nobody/restorePoints'), 404, 'notFound', 'machine');
  expect(value(await get('sessions'))).toEqual([]);
});

test('a body that is wrong is 400 and names the field', async () => {
  for (const [path, body, target] of [
    ['backups', {}, 'machine'],
    ['backups', { machine: '' }, 'machine'],
    ['backups', { machine: 'web', protection: { mover: 'pigeon' } }, 'protection.mover'],
    ['backups', { machine: 'web', dryRun: 'yes' }, 'dryRun'],
    [
      'backups',
      { machine: 'web', protection: { retention: { keep: { daily: { points: 0 } } } } },
      'protection.retention.keep.daily.points',
    ],
    ['restores', { restorePoint: 7 }, 'restorePoint'],
    ['restores', { restorePoint: 'a/1', disks: [] }, 'disks'],
    ['restores', { restorePoint: 'a/1', disks: [0, 'x'] }, 'disks.1'],
    ['restores', { restorePoint: 'a/1', namePrefix: '../up' }, 'namePrefix'],
  ] as const) {
    expectRefusal(await post(path, body), 400, 'invalidInput', target);
  }
  const unknown = expectRefusal(
    await post('backups', { machine: 'web', mvoer: 'inline' }),
    400,
    'invalidInput',
    '',
  );
  expect(unknown.message).toContain('mvoer');
  const { message } = expectRefusal(await post('backups', '{"machine":'), 400, 'invalidInput');
  expect(message).toContain('JSON');
  expectRefusal(
    await get('sessions', { query: 'api-version=2026-11-01&kind=party' }),
    400,
    'invalidInput',
    'kind',
  );
  expectRefusal(
    await get('sessions', { query: 'api-version=2026-11-01&maxpagesize=0' }),
    400,
    'invalidInput',
    'maxpagesize',
  );
  expect(value(await get('sessions'))).toEqual([]);
});

test('a dry run says what would be read, and makes nothing', async () => {
  const answer = await post('backups', { machine: 'WEB', dryRun: true });
  expect([answer.status, (answer.body as { disks: unknown }).disks]).toEqual([
    200,
    [
      { name: 'web-os', sizeBytes: 48 * MiB, plannedReason: 'first' },
      { name: 'web-data1', sizeBytes: 32 * MiB, plannedReason: 'first' },
    ],
  ]);
  expect(value(await get('sessions'))).toEqual([]);
  expect(await rig.admin.call('requests', { surface: 'arm', method: 'PUT', path: '/snapshots/' })).toEqual(
    [],
  );
});

test('a backup is a session: 202 with its place, progress while it runs, 409 for a second one, and an end', async () => {
  const held = await holdReads(rig, { skip: 2 });
  const started = await post('backups', {
    machine: 'web',
    protection: { mover: 'inline' },
    reason: 'before the update',
  });
  const id = idOf(started);
  expect([
    started.status,
    started.headers.get('operation-location'),
    started.headers.get('retry-after'),
  ]).toEqual([202, `${rig.system.url}/api/sessions/${id}?api-version=2026-11-01`, '5']);
  expect(started.body).toMatchObject({
    kind: 'backup',
    status: 'running',
    machineName: 'web',
    percent: null,
  });
  await held.met();

  const running = (await get(`sessions/${id}`)).body as ShownSession;
  expect(running).toMatchObject({ status: 'running', phase: 'move', reason: 'before the update' });
  expect(running.disks.map(({ plannedBytes }) => plannedBytes)).toEqual([24 * MiB, 16 * MiB]);
  expect(running.percent).toBeGreaterThanOrEqual(0);
  expect(running.percent).toBeLessThan(100);
  const { message } = expectRefusal(await post('backups', { machine: 'web' }), 409, 'previousRunning', id);
  expect(message).toContain('web');

  await held.release();
  await rig.api.wait(id, SESSION_MS);
  const ended = (await get(`sessions/${id}`)).body as ShownSession;
  expect(ended).toMatchObject({ status: 'succeeded', phase: 'done', percent: 100, error: null });
  expect(ended.disks).toMatchObject([
    { name: 'web-os', percent: 100, readBytes: 24 * MiB, readReason: 'first' },
    { name: 'web-data1', percent: 100, readBytes: 16 * MiB, readReason: 'first' },
  ]);
  const [machine] = value<{ name: string; lastRestorePointAt: string }>(await get('machines')).filter(
    ({ name }) => name === 'web',
  );
  const [point] = value<RestorePoint>(await get('machines/web/restorePoints'));
  expect(machine?.lastRestorePointAt).toBe(point?.takenAt);
}, 100_000);

test('a cancelled backup ends, gives everything back and leaves no restore point', async () => {
  const held = await holdReads(rig);
  const id = idOf(await post('backups', { machine: 'spare', protection: { mover: 'inline' } }));
  await held.met();
  const cancelled = await rig.call('POST', `sessions/${id}/cancel`);
  expect(cancelled).toMatchObject({ status: 202, body: { id, status: 'running', cancelRequested: true } });
  await held.release();
  const session = await rig.api.wait(id, SESSION_MS);
  expect(session).toMatchObject({ status: 'cancelled', restorePoint: null, error: { code: 'cancelled' } });
  await rig.everythingReleased();
  expect(value(await get('machines/spare/restorePoints'))).toEqual([]);
  // Of a session that has ended nothing can be cancelled, and saying so again does no harm.
  expect((await rig.call('POST', `sessions/${id}/cancel`)).body).toMatchObject({ status: 'cancelled' });
}, 60_000);

test('one disk of two is restored to another resource group, and only that', async () => {
  await rig.admin.call('addResourceGroup', {
    subscription: DEMO.subscriptionId,
    name: 'drill',
    location: DEMO.location,
  });
  const [point] = value<RestorePoint>(await get('machines/web/restorePoints'));
  const disk = point?.disks.find(({ name }) => name === 'web-data1');
  if (!point || !disk) throw new Error('There is no restore point with the data disk.');
  const asked = { restorePoint: restorePointName(point), disks: [disk.number], resourceGroup: 'drill' };
  const preview = await post('restores', { ...asked, dryRun: true });
  expect(preview).toMatchObject({ status: 200, body: { resourceGroup: 'drill' } });
  expectRefusal(await post('restores', { ...asked, disks: [disk.number, 9] }), 400, 'invalidInput', 'disks');

  const id = idOf(await post('restores', { ...asked, namePrefix: 'drill-', mover: 'inline' }));
  const { status, createdDisks } = await rig.api.wait(id, SESSION_MS);
  expect([status, createdDisks?.map(({ number }) => number)]).toEqual(['succeeded', [disk.number]]);
  const diskId = createdDisks?.[0]?.diskId ?? '';
  expect(diskId).toMatch(
    /\/resourceGroups\/drill\/providers\/Microsoft.Compute\/disks\/drill-web-data1-\w{6}$/,
  );
  expect(await digestOf(rig.admin, diskId)).toBe(rig.digests('web')[1]);
  const made = await rig.admin.call('requests', { surface: 'arm', method: 'PUT', path: '/disks/drill-' });
  expect(made).toHaveLength(1);
}, 60_000);

test('sessions are listed newest first, by machine, kind and status, and page by page', async () => {
  const all = value<ShownSession>(await get('sessions'));
  expect(all.map(({ startedAt }) => startedAt)).toEqual(
    all.map(({ startedAt }) => startedAt).sort((a, b) => (a < b ? 1 : -1)),
  );
  const filtered = (query: string) => get('sessions', { query: `api-version=2026-11-01&${query}` });
  const same = (keep: (session: ShownSession) => boolean) => all.filter(keep).map(({ id }) => id);
  const ids = async (query: string) => value<ShownSession>(await filtered(query)).map(({ id }) => id);
  expect(await ids('kind=restore')).toEqual(same(({ kind }) => kind === 'restore'));
  expect(await ids('machine=spare')).toEqual(same(({ machineName }) => machineName === 'spare'));
  expect(await ids('status=cancelled')).toEqual(same(({ status }) => status === 'cancelled'));

  const paged: string[] = [];
  for (
    let next: string | undefined = `${rig.system.url}/api/sessions?api-version=2026-11-01&maxpagesize=2`;
    next;
  ) {
    const answer = await fetch(next, { headers: { 'x-functions-key': rig.system.key } });
    const page = (await answer.json()) as { value: ShownSession[]; nextLink?: string };
    expect(page.value.length).toBeLessThanOrEqual(2);
    paged.push(...page.value.map(({ id }) => id));
    next = page.nextLink;
  }
  expect(paged).toEqual(all.map(({ id }) => id));
});

test('a policy is put under its etag, its schedule is checked, and it can be started at once', async () => {
  const body = {
    scope: { machines: ['spare'] },
    calendar: { timeZone: 'Europe/Berlin', schedules: [{ every: 'cron', cron: '30 2 * * *' }] },
    mover: 'inline',
  };
  const put = (headers: Record<string, string>, more: object = {}) =>
    rig.call('PUT', 'policies/nightly', { body: { ...body, ...more }, headers });
  const created = await put({ 'if-none-match': '*' });
  expect(created).toMatchObject({ status: 200, body: { id: 'nightly', enabled: true } });
  expect((created.body as { nextSlots: string[] }).nextSlots).toHaveLength(5);
  const first = created.headers.get('etag') ?? '';
  expect(first).not.toBe('');
  expect((await get('policies/nightly')).headers.get('etag')).toBe(first);

  const changed = await put({ 'if-match': first }, { enabled: false });
  expect(changed).toMatchObject({ status: 200, body: { enabled: false, nextSlots: [] } });
  expectRefusal(await put({ 'if-match': first }), 412, 'preconditionFailed', 'policies/nightly');
  const again = await put({ 'if-none-match': '*' });
  expect([again.status, again.headers.get('x-ms-error-code')]).toEqual([409, 'alreadyExists']);
  expect((await get('policies/nightly')).body).toMatchObject({ enabled: false });

  for (const [schedule, timeZone, target] of [
    [{ every: 'cron', cron: 'every day' }, 'UTC', 'calendar.schedules.0.cron'],
    [{ every: 'cron', cron: '61 2 * * *' }, 'UTC', 'calendar.schedules.0.cron'],
    [{ every: 'cron', cron: '0 30 2 * * *' }, 'UTC', 'calendar.schedules.0.cron'],
    [{ every: 'day', at: ['2:30'] }, 'UTC', 'calendar.schedules.0.at.0'],
    [{ every: 'day', at: ['02:30'] }, 'Mars/Olympus', 'calendar.timeZone'],
  ] as const) {
    const calendar = { timeZone, schedules: [schedule] };
    expectRefusal(await put({}, { calendar }), 400, 'invalidInput', target);
  }
  expectRefusal(await put({}, { id: 'other' }), 400, 'invalidInput', 'id');
  expectRefusal(await rig.call('PUT', 'policies/Not%20an%20id', { body }), 400, 'invalidInput', 'id');

  const started = await rig.call('POST', 'policies/nightly/start');
  expect(started).toMatchObject({ status: 202, body: { kind: 'policyRun', policyId: 'nightly' } });
  const run = await rig.api.wait(idOf(started), SESSION_MS);
  expect(run).toMatchObject({ status: 'succeeded', warnings: [] });
  const children = value<ShownSession>(await get('sessions')).filter(({ parentId }) => parentId === run.id);
  expect(children).toMatchObject([{ machineName: 'spare', status: 'succeeded', policyId: 'nightly' }]);
}, 100_000);
