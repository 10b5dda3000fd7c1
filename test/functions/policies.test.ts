import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Policy } from '../../lib/model/index.ts';
import { Lab } from '../sessions/lab.ts';
import { openApi } from './api.ts';

/** The API of policies and machines, as somebody with curl sees it. */
let lab: Lab;
let call: Awaited<ReturnType<typeof openApi>>;
beforeAll(async () => {
  lab = await Lab.start();
  await lab.machine('web-1');
  await lab.machine('web-2');
  call = await openApi(lab, ['policies', 'policyActions', 'machines', 'sessions']);
}, 60_000);
afterAll(() => lab?.stop());
beforeEach(async () => {
  for (const { value } of await lab.installation.catalog.policies.list())
    await lab.installation.catalog.policies.remove(value.id);
});

const BODY = {
  scope: { all: true },
  calendar: { timeZone: 'Europe/Berlin', schedules: [{ every: 'day', at: ['22:00'] }] },
};
const target = (answer: { body: unknown }) => (answer.body as { error: { target: string } }).error.target;

test('PUT creates under If-None-Match, replaces under If-Match; GET shows the next slots and the etag', async () => {
  const created = await call('PUT policies/nightly', BODY, { 'if-none-match': '*' });
  expect(created).toMatchObject({ status: 200, body: { id: 'nightly', enabled: true } });
  const { etag, nextSlots } = created.body as { etag: string; nextSlots: string[] };
  expect([nextSlots.length, created.headers['ETag']]).toEqual([5, etag]);
  expect(await call('PUT policies/nightly', BODY, { 'if-none-match': '*' })).toMatchObject({ status: 409 });
  const changed = await call('PUT policies/nightly', { ...BODY, priority: 3 }, { 'if-match': etag });
  expect(changed).toMatchObject({ status: 200, body: { priority: 3 } });
  expect(await call('PUT policies/nightly', BODY, { 'if-match': etag })).toMatchObject({ status: 412 });
  expect((await call('GET policies/nightly')).headers['ETag']).toBe((changed.body as { etag: string }).etag);
});

test('a document may be YAML; what is wrong in it is named by its place, unknown keys too', async () => {
  const yaml = { 'content-type': 'application/yaml' };
  expect(await call('PUT policies/a', stringify(BODY), yaml)).toMatchObject({ status: 200 });
  for (const [more, where] of [
    [{ scope: { tag: [] } }, 'scope.tag'],
    [{ calendar: { schedules: [{ every: 'day', at: ['7:00'] }] } }, 'calendar.schedules.0.at.0'],
    [{ calendar: { schedules: [{ every: 'cron', cron: 'x' }] } }, 'calendar.schedules.0.cron'],
    [{ storage: { copies: ['nowhere'] } }, 'storage.copies.0'],
    [{ id: 'b' }, 'id'],
  ] as const) {
    const refused = await call('PUT policies/a', { ...BODY, ...more });
    expect([refused.status, target(refused)]).toEqual([400, where]);
  }
  expect(await call('PUT policies/a', 'scope: [', yaml)).toMatchObject({
    status: 400,
    body: { error: { message: expect.stringContaining('not YAML') as string } },
  });
  expect((await call('PUT policies/Not%20an%20id', BODY)).status).toBe(400);
});

test('PATCH merges; enable, disable and DELETE do what they say', async () => {
  await call('PUT policies/a', BODY);
  expect(await call('PATCH policies/a', { priority: 9, mover: 'auto' })).toMatchObject({
    body: { priority: 9, mover: 'auto', scope: { all: true } },
  });
  expect(await call('PATCH policies/a', {}, { 'if-match': '"old"' })).toMatchObject({ status: 412 });
  expect(await call('POST policies/a/disable')).toMatchObject({ body: { enabled: false, nextSlots: [] } });
  expect(await call('POST policies/a/enable')).toMatchObject({ body: { enabled: true, priority: 9 } });
  expect(await call('DELETE policies/a')).toMatchObject({ status: 204, body: null });
  for (const line of ['GET policies/a', 'DELETE policies/a', 'PATCH policies/a', 'POST policies/a/stop'])
    expect(await call(line, {})).toMatchObject({ status: 404, body: { error: { target: 'id' } } });
});

test('what is exported, one or all, as JSON or YAML, can be imported as it is', async () => {
  await call('PUT policies/a', BODY);
  await call('PUT policies/b', { ...BODY, priority: 2 });
  const yaml = await call('GET policies?format=yaml');
  expect(yaml.headers['content-type']).toBe('application/yaml');
  expect(yaml.text).toMatch(/^policies:\n {2}- schemaVersion: 2\n {4}id: a\n/);
  const document = parse(yaml.text ?? '') as { policies: Policy[] };
  expect(document.policies.map(({ id }) => id)).toEqual(['a', 'b']);
  const one = JSON.parse((await call('GET policies/b?format=json')).text ?? '') as Policy;
  expect(one).toEqual(document.policies[1]);
  expect((await call('GET policies?format=xml')).status).toBe(400);

  await call('DELETE policies/a');
  expect(await call('POST policies/import', { ...document, dryRun: true })).toMatchObject({
    body: {
      dryRun: true,
      value: [
        { id: 'a', action: 'created' },
        { id: 'b', action: 'unchanged' },
      ],
    },
  });
  expect((await call('GET policies/a')).status).toBe(404);
  await call('POST policies/import', yaml.text, { 'content-type': 'application/yaml' });
  expect((await call('GET policies?format=yaml')).text).toBe(yaml.text);

  const refused = await call('POST policies/import', {
    policies: [
      { ...one, priority: 7 },
      { id: 'c', scope: {}, surprise: 1 },
    ],
  });
  expect(refused).toMatchObject({
    status: 400,
    body: { error: { code: 'invalidInput', details: [{ target: '/1/surprise' }] } },
  });
  expect(await call('GET policies/b')).toMatchObject({ body: { priority: 2 } });
  expect(await call('POST policies/import', [one])).toMatchObject({ status: 400 });
});

test('validate and diff say what a document would do, and store nothing', async () => {
  await call('PUT policies/a', BODY);
  const document = { id: 'b', ...BODY, scope: { machines: ['web-1', 'ghost'] }, priority: 1 };
  expect(await call('POST policies/validate', document)).toMatchObject({
    status: 200,
    body: {
      valid: true,
      warnings: [{ path: '/scope/machines/1' }],
      machines: { inScope: 1, owned: 1, takes: { a: 1 } },
    },
  });
  expect(await call('POST policies/a/diff', { ...BODY, enabled: false })).toMatchObject({
    body: { exists: true, differences: [{ path: '/enabled', before: true, after: false }] },
  });
  expect((await call('GET policies')).body).toMatchObject({ value: [{ id: 'a', enabled: true }] });
});

test('a machine tells its power, its policy and why, and whether it is protected; a page at a time', async () => {
  await call('PUT policies/a', BODY);
  await call('PUT policies/web', { ...BODY, scope: { machines: ['web-2'] }, priority: 1 });
  const machines = await call('GET machines');
  expect(machines.body).toMatchObject({
    value: [
      {
        name: 'web-1',
        powerState: 'running',
        protectedBy: 'a',
        protectedBecause: 'all machines',
        passedOver: [],
        coverage: 'waiting',
        coverageWhy: expect.stringContaining('first slot at') as string,
        lastRestorePointAt: null,
      },
      { name: 'web-2', protectedBy: 'web', protectedBecause: 'machine web-2', passedOver: ['a'] },
    ],
  });
  const names = ({ body }: { body: unknown }) =>
    (body as { value: { name: string }[] }).value.map(({ name }) => name);
  expect(names(await call('GET policies/web/machines'))).toEqual(['web-2']);
  expect(names(await call('GET machines?policy=a'))).toEqual(['web-1']);
  expect(names(await call('GET machines?state=late'))).toEqual([]);
  const first = await call('GET machines?maxpagesize=1');
  const { nextLink } = first.body as { nextLink: string };
  const second = await call(`GET machines${new URL(nextLink).search}`);
  expect([names(first), names(second)]).toEqual([['web-1'], ['web-2']]);
  expect(second.body).not.toHaveProperty('nextLink');
  expect((await call('GET policies/nobody/machines')).status).toBe(404);
});

test('a policy that runs is not started again; stopping it names what was asked to end', async () => {
  await call('PUT policies/a', BODY);
  const started = await call('POST policies/a/start');
  const { id } = started.body as { id: string };
  expect([started.status, started.headers['Operation-Location']]).toEqual([
    202,
    expect.stringContaining(`/api/sessions/${id}`),
  ]);
  expect(await call('POST policies/a/start')).toMatchObject({
    status: 409,
    body: { error: { code: 'previousRunning', target: id } },
  });
  expect(await call('DELETE policies/a')).toMatchObject({ status: 409 });
  expect(await call('POST policies/a/stop')).toMatchObject({ status: 202, body: { value: [{ id }] } });
  await lab.run();
  expect(await call(`GET sessions/${id}`)).toMatchObject({ body: { status: 'cancelled' } });
  expect((await call('DELETE policies/a')).status).toBe(204);
});
