import { afterAll, beforeAll, expect, test } from 'vitest';
import { overviewAnswer, removalPlanAnswer, sessionAnswer, sessionTreeAnswer } from '../../cli/answers.ts';
import type { Machine } from '../../lib/model/index.ts';
import { holdPoint } from '../../lib/sessions/index.ts';
import { Lab } from '../sessions/lab.ts';
import { openApi } from './api.ts';

/** The API of sessions, removals, damage and the overview, as somebody with curl sees it, and as the command line reads it. */
let lab: Lab;
let machine: Machine;
let call: Awaited<ReturnType<typeof openApi>>;
const chain = { id: '' };
beforeAll(async () => {
  lab = await Lab.start();
  machine = await lab.machine('web');
  for (let run = 0; run < 3; run++) chain.id = (await lab.backUp(machine)).restorePoint?.chainId ?? '';
  call = await openApi(lab, ['sessions', 'removals', 'restorePoints', 'overview']);
}, 60_000);
afterAll(() => lab?.stop());

const valueOf = (answer: { body: unknown }) => (answer.body as { value: { id: string }[] }).value;

test('sessions are filtered by kind, policy and time, and paged; CSV has the same rows, with the next page in a header', async () => {
  const all = await call('GET sessions?kind=backup');
  expect(valueOf(all)).toHaveLength(3);
  for (const session of valueOf(all)) expect(sessionAnswer.safeParse(session).error).toBe(undefined);
  expect(valueOf(await call('GET sessions?policy=none'))).toEqual([]);
  const later = new Date(lab.clock.now().getTime() + 1000).toISOString();
  expect(valueOf(await call(`GET sessions?from=${later}`))).toEqual([]);
  expect(valueOf(await call(`GET sessions?kind=backup&to=${later}`))).toHaveLength(3);
  expect((await call('GET sessions?from=yesterday')).status).toBe(400);

  const csv = await call('GET sessions?format=csv&maxpagesize=2');
  expect(csv.headers['content-type']).toContain('text/csv');
  const [heading = '', ...rows] = (csv.text ?? '').trimEnd().split('\r\n');
  expect(heading.split(',').slice(0, 3)).toEqual(['session', 'parent', 'kind']);
  expect(rows).toHaveLength(2);
  const next = /<https:\/\/app\.example\/api\/([^>]+)>; rel="next"/.exec(csv.headers['link'] ?? '')?.[1];
  const more = await call(`GET ${next}`);
  const [id] = (more.text ?? '').split('\r\n')[1]?.split(',') ?? [];
  expect(valueOf(await call('GET sessions')).map((session) => session.id)[2]).toBe(id);
});

test('a session is expanded to its tree of disks and shards', async () => {
  const [newest] = valueOf(await call('GET sessions?kind=backup'));
  const tree = await call(`GET sessions/${newest?.id}?expand=tree`);
  const parsed = sessionTreeAnswer.parse(tree.body);
  expect(parsed.disks.map(({ shards }) => shards.map(({ kind }) => kind))).toEqual([['plan']]);
  expect(parsed.phases.map(({ phase }) => phase)).toContain('snapshot');
  expect((await call(`GET sessions/${newest?.id}?expand=all`)).status).toBe(400);
});

test('a restore point shows its state, flags and hold; a removal is planned, refused with 423, and done', async () => {
  const points = (await call('GET machines/web/restorePoints')).body as { value: object[] };
  expect(points.value[0]).toMatchObject({ state: 'ok', flags: ['daily'], hold: null, immutableUntil: null });
  const hold = { by: 'audit', reason: 'case 12', until: null };
  await holdPoint(lab.installation, { chainId: chain.id, sequence: 1 }, hold);
  const plan = removalPlanAnswer.parse((await call('DELETE machines/web/restorePoints?dryRun=true')).body);
  expect(plan.points.map(({ verdict }) => verdict)).toEqual(['held', 'goes', 'goes']);
  expect(await call(`DELETE restorePoints/${chain.id}/1`)).toMatchObject({
    status: 423,
    body: { error: { code: 'locked', target: `${chain.id}/1` } },
  });
  expect((await call(`DELETE restorePoints/${chain.id}/99`)).status).toBe(404);
  const started = await call(`DELETE restorePoints/${chain.id}/2`);
  expect(started.status).toBe(202);
  await lab.run();
  const { id } = started.body as { id: string };
  expect((await call(`GET sessions/${id}`)).body).toMatchObject({ kind: 'removal', status: 'succeeded' });
  const left = (await call('GET restorePoints')).body as { value: { name: string }[] };
  expect(left.value.map(({ name }) => name)).toEqual([`${chain.id}/3`, `${chain.id}/1`]);
});

test('a cancelled session says so; the overview and the damage are as the command line reads them', async () => {
  const { id } = await lab.request(machine);
  expect(await call(`POST sessions/${id}/cancel`)).toMatchObject({
    status: 202,
    body: { cancelRequested: true },
  });
  await lab.run();
  expect((await call(`GET sessions/${id}`)).body).toMatchObject({ status: 'cancelled', phase: 'done' });
  expect(overviewAnswer.parse((await call('GET overview')).body).coverage.none).toBe(1);
  expect((await call('GET damage')).body).toEqual({ value: [] });
  expect((await call('GET damage?machine=nobody')).status).toBe(404);
});
