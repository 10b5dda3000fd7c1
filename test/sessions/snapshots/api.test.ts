import { HttpRequest, type HttpResponseInit } from '@azure/functions';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { z } from 'zod';
import { type Machine, policySchema } from '../../../lib/model/index.ts';
import { Lab } from '../lab.ts';
import { ask, pointOf, reasonsOf, snapshotsOf } from './support.ts';

interface Route {
  readonly methods: readonly string[];
  readonly path: string;
  handle(call: unknown): Promise<HttpResponseInit>;
}
const routes: Route[] = vi.hoisted(() => []);
vi.mock('../../../functions/http.ts', async (original) => ({
  ...(await original<object>()),
  route: (route: Route) => routes.push(route),
}));

describe('the API of snapshots and changed blocks', () => {
  let lab: Lab;
  let machine: Machine;
  beforeAll(async () => {
    await import('../../../functions/snapshots.ts');
    await import('../../../functions/changedBlocks.ts');
    await import('../../../functions/backups.ts');
    lab = await Lab.start();
    machine = await lab.machine('served', 1);
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  /** Calls a route as its trigger does: path parameters by place, the body by the route's own schema. */
  async function call(method: string, path: string, given: unknown = {}): Promise<Record<string, unknown>> {
    const url = new URL(`http://app/api/${path}`);
    const parts = url.pathname.slice('/api/'.length).split('/');
    const found = routes
      .filter((route) => route.methods.includes(method))
      .map((route) => ({ route, names: route.path.split('/') }))
      .filter(({ names }) => names.length === parts.length)
      .filter(({ names }) => names.every((name, i) => name.startsWith('{') || name === parts[i]))
      .sort((a, b) => a.route.path.split('{').length - b.route.path.split('{').length)[0];
    if (!found) throw new Error(`There is no route ${method} ${path}.`);
    const params = Object.fromEntries(
      found.names.flatMap((name, i) => (name.startsWith('{') ? [[name.slice(1, -1), parts[i]]] : [])),
    );
    const answer = await found.route.handle({
      request: new HttpRequest({ method, url: url.href }),
      installation: lab.installation,
      instances: lab.instances,
      params,
      query: url.searchParams,
      body: async (schema: z.ZodType) => schema.parse(given),
    });
    await lab.run();
    return { ...(answer.jsonBody as object), httpStatus: answer.status };
  }
  interface Shown {
    name: string;
    kind: string;
    base: boolean;
  }
  const listed = async (query = '') =>
    ((await call('GET', `snapshots${query}`)) as unknown as { value: Shown[] }).value;

  it('takes snapshots of a machine, and lists them by machine and by kind', async () => {
    await ask(lab, machine);
    expect(await call('POST', 'snapshots', { machines: ['served'], reason: 'by hand' })).toMatchObject({
      httpStatus: 202,
      value: [{ kind: 'snapshot', machineName: 'served', reason: 'by hand' }],
    });
    expect((await listed()).map(({ kind, base }) => [kind, base])).toEqual([
      ['manual', false],
      ['policy', true],
    ]);
    expect((await listed('?kind=manual')).map(({ kind }) => kind)).toEqual(['manual']);
    for (const name of ['served', machine.id, machine.armId])
      expect(await listed(`?machine=${encodeURIComponent(name)}&api-version=1`)).toHaveLength(2);
    expect(await listed('?machine=other')).toEqual([]);
    await expect(listed('?kind=strange')).rejects.toMatchObject({ code: 'invalidInput', target: 'kind' });
  });

  it('refuses names that are ours, machines that are not there and expiries that are over', async () => {
    await expect(
      call('POST', 'snapshots', { machines: ['served'], tags: { 'Holdfast-owner': 'x' } }),
    ).rejects.toThrow('holdfast-');
    await expect(call('POST', 'snapshots', { machines: ['absent'] })).rejects.toMatchObject({
      code: 'notFound',
    });
    const over = { machines: ['served'], expiresAt: '2020-01-01T00:00:00.000Z' };
    await expect(call('POST', 'snapshots', over)).rejects.toMatchObject({ code: 'invalidInput' });
  });

  it('removes by name, the base by force only, and by machine and kind without the base', async () => {
    const [manual, base] = await listed();
    await expect(call('DELETE', `snapshots/${base?.name}`)).rejects.toMatchObject({ code: 'conflict' });
    await expect(call('DELETE', 'snapshots/nothing-1')).rejects.toMatchObject({ code: 'notFound' });
    expect(await call('DELETE', `snapshots/${manual?.name}`)).toMatchObject({
      httpStatus: 202,
      kind: 'snapshotRemoval',
    });
    expect((await listed()).map(({ name }) => name)).toEqual([base?.name]);
    await call('POST', 'snapshots', { machines: ['served'] });
    await call('POST', 'snapshots/remove', { machine: 'served' });
    expect((await listed()).map(({ name }) => name)).toEqual([base?.name]);
    await expect(call('POST', 'snapshots/remove', { machine: 'served' })).rejects.toMatchObject({
      code: 'notFound',
    });
    await expect(call('POST', 'snapshots/remove', {})).rejects.toThrow('names or a machine');
    await call('POST', 'snapshots/remove', { names: [base?.name], force: true });
    expect(await snapshotsOf(lab, machine)).toEqual([]);
  });

  it('runs the rescan and the retention of snapshots on request', async () => {
    expect(await call('POST', 'snapshots/rescan')).toMatchObject({ httpStatus: 202, kind: 'snapshotRescan' });
    expect(await call('POST', 'snapshots/retention')).toMatchObject({
      httpStatus: 202,
      kind: 'snapshotRetention',
    });
  });

  it('resets the changed block tracking of a policy, and says when; a policy that is not there is not found', async () => {
    await lab.installation.catalog.policies.put(policySchema.parse({ id: 'nightly', scope: {} }));
    await ask(lab, machine);
    const answer = await call('POST', 'policies/nightly/resetChangedBlocks');
    const found = (await lab.installation.catalog.policies.get('nightly'))?.value;
    expect(answer).toMatchObject({ id: 'nightly', changedBlocks: { resetAt: expect.any(String) as string } });
    expect(found?.changedBlocks).toEqual(answer['changedBlocks']);
    const changedBlocks = found?.changedBlocks;
    const preview = async (change: object) => {
      const protection = { mover: 'inline', changedBlocks: { ...changedBlocks, ...change } };
      const said = await call('POST', 'backups', { machine: 'served', dryRun: true, protection });
      return (said['disks'] as { plannedReason: string }[]).map(({ plannedReason }) => plannedReason);
    };
    expect(await preview({})).toEqual(['reset', 'reset']);
    expect(await reasonsOf(lab, await ask(lab, machine, { changedBlocks }))).toEqual(['reset', 'reset']);
    expect(await preview({})).toEqual(['changedBlocks', 'changedBlocks']);
    expect(await preview({ enabled: false })).toEqual(['cbtOff', 'cbtOff']);
    await expect(call('POST', 'policies/absent/resetChangedBlocks')).rejects.toMatchObject({
      code: 'notFound',
    });
  });

  it('backs one machine up with the flags and the expiry that were asked for', async () => {
    const expiresAt = new Date(lab.clock.now().getTime() + 3600_000).toISOString();
    const protection = { mover: 'inline' };
    const session = (await call('POST', 'backups', { machine: 'served', protection, expiresAt })) as {
      id?: string;
    };
    const point = await pointOf(lab, await lab.session(session.id ?? ''));
    const row = await lab.installation.catalog.points.get(point.chainId, point.sequence);
    expect(row?.retention).toMatchObject({ flags: [], expiresAt });
    const [set] = await listed();
    expect(set).toMatchObject({ kind: 'temporary', base: true });
    await call('POST', 'backups', { machine: 'served', protection, flags: ['monthly'] });
    expect((await listed())[0]).toMatchObject({ kind: 'policy', flags: ['monthly'] });
  });
});
