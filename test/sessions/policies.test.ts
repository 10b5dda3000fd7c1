import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MiB, type PolicyInput, policySchema, type Session } from '../../lib/model/index.ts';
import {
  coverMachine,
  diffPolicy,
  importPolicies,
  patchPolicy,
  putPolicy,
  refuseWhilePolicyRuns,
  removePolicy,
  requestPolicyRun,
  setPolicyEnabled,
  stopPolicy,
  surveyMachines,
  validatePolicy,
  withPowerStates,
} from '../../lib/sessions/index.ts';
import { GROUP, Lab, SUBSCRIPTION } from './lab.ts';

/** Policies against the simulator: which machines a run takes, discovery, and how policies are stored. */
let lab: Lab;
const OTHER = '22222222-2222-3333-4444-555555555555';
const LATER = '33333333-2222-3333-4444-555555555555';
const ROOT = '/providers/Microsoft.Management/managementGroups/root';

beforeAll(async () => {
  lab = await Lab.start();
  const { simulator } = lab;
  for (const subscriptionId of [OTHER, LATER])
    simulator.addSubscription({ subscriptionId, displayName: subscriptionId });
  simulator.addManagementGroup({ name: 'root' });
  simulator.addManagementGroup({ name: 'shops', parent: 'root', subscriptions: [OTHER] });
  simulator.assignRole({ principalId: appId(), role: 'Reader', scope: ROOT });
  simulator.assignRole({ principalId: appId(), role: 'Holdfast Protect', scope: ROOT });
  await vm('web-1', { env: 'prod' });
  await vm('web-2', { env: 'prod', backup: 'no' });
  await vm('db-1', { env: 'test' }, SUBSCRIPTION, 1);
  await vm('far-1', { env: 'prod' }, OTHER);
}, 60_000);
afterAll(() => lab?.stop());
beforeEach(async () => {
  // A run looks at its machines when they have ended: the lab does one thing after the other.
  lab.beforeActivity = async (name) => {
    if (name === 'backUpMachines') await lab.run();
  };
  for (const { value } of await lab.installation.catalog.policies.list())
    await lab.installation.catalog.policies.remove(value.id);
});

/** The app's principal: the one that lab registered. */
const appId = (): string =>
  lab.simulator.roles.list().find(({ role }) => role === 'Holdfast Worker')?.principalId ?? '';

async function vm(name: string, tags: Record<string, string>, subscription = SUBSCRIPTION, dataDisks = 0) {
  const { id } = await lab.simulator.addVirtualMachine({
    subscription,
    group: GROUP,
    name,
    location: 'westeurope',
    tags,
    osDisk: { sizeBytes: 16 * MiB },
    dataDisks: Array.from({ length: dataDisks }, () => ({ sizeBytes: 8 * MiB })),
  });
  const { disks } = await lab.installation.azure.machines.readConfiguration(id);
  for (const disk of disks) await lab.write(disk.id, MiB, randomBytes(MiB));
  return { id, disks };
}

const put = async (input: PolicyInput) => {
  const policy = policySchema.parse({ mover: 'inline', ...input });
  await lab.installation.catalog.policies.put(policy);
  return policy;
};

/** Runs a policy now, to the end; the run and the names of the machines that it backed up. */
async function runPolicy(id: string): Promise<{ run: Session; machines: string[]; children: Session[] }> {
  const found = await lab.installation.catalog.policies.get(id);
  if (!found) throw new Error(`There is no policy ${id}.`);
  const { id: sessionId } = await requestPolicyRun(lab.installation, lab.instances, found.value, null);
  await lab.run();
  const children = await lab.installation.catalog.sessions.children(sessionId);
  return {
    run: await lab.session(sessionId),
    machines: children.map(({ machineName }) => machineName ?? '').toSorted((a, b) => a.localeCompare(b)),
    children,
  };
}

describe('which machines a run takes', () => {
  test('those that belong to the policy; the others in its scope are told as counts, not as warnings', async () => {
    await put({
      id: 'prod',
      priority: 10,
      scope: { tags: [{ key: 'ENV', value: 'prod' }], exclude: { tags: [{ key: 'backup', value: 'no' }] } },
    });
    await put({ id: 'rest', scope: { all: true } });
    const prod = await runPolicy('prod');
    expect([prod.machines, prod.run.warnings]).toEqual([['web-1'], []]);
    expect(prod.run.notes).toEqual(['1 machine excluded.']);
    const rest = await runPolicy('rest');
    expect(rest.machines).toEqual(['db-1', 'web-2']);
    expect([rest.run.status, rest.run.notes]).toEqual([
      'succeeded',
      ['1 machine skipped: owned by policy prod.'],
    ]);
  });

  test('a policy with an SLA comes first, whatever its number', async () => {
    await put({ id: 'first', priority: 1, scope: { all: true } });
    await put({ id: 'sla', priority: 900, scope: { machines: ['db-1'] }, sla: { rpoMinutes: 60 } });
    expect((await runPolicy('first')).machines).toEqual(['web-1', 'web-2']);
  });

  test('a scope that matches nothing is a warning of the run', async () => {
    await put({ id: 'nothing', scope: { machines: ['nobody'], tags: [{ key: 'env', value: 'moon' }] } });
    const { run, machines } = await runPolicy('nothing');
    expect([run.status, machines]).toEqual(['warning', []]);
    expect(run.warnings).toEqual([
      'The scope of policy nothing matches no machine: tag env=moon, machine nobody.',
    ]);
  });

  test('a named machine that does not exist is a warning beside those that do', async () => {
    await put({ id: 'two', scope: { machines: ['web-1', 'nobody'] } });
    const { run, machines } = await runPolicy('two');
    expect([machines, run.warnings]).toEqual([
      ['web-1'],
      ['The machine nobody, which policy two names, does not exist.'],
    ]);
  });

  test('a disabled policy owns nothing; started by hand it takes what no enabled one has', async () => {
    await put({ id: 'off', enabled: false, priority: 1, scope: { all: true } });
    await put({ id: 'on', scope: { tags: [{ key: 'env', value: 'prod' }] } });
    expect((await runPolicy('on')).machines).toEqual(['web-1', 'web-2']);
    const off = await runPolicy('off');
    expect(off.machines).toEqual(['db-1']);
    expect(off.run.notes).toEqual([
      'Policy off is disabled: started by hand, it takes what no enabled policy has.',
      '2 machines skipped: owned by policy on.',
    ]);
  });
});

describe('discovery', () => {
  test('a machine that was added is in the next run; one that was tagged out is not', async () => {
    await put({ id: 'lab', scope: { tags: [{ key: 'tier', value: 'lab' }] } });
    expect((await runPolicy('lab')).machines).toEqual([]);
    await vm('lab-1', { tier: 'lab' });
    expect((await runPolicy('lab')).machines).toEqual(['lab-1']);
  });

  test('a subscription that joins a management group, at any level, is in the next run', async () => {
    await put({ id: 'group', scope: { managementGroups: ['ROOT'] } });
    expect((await runPolicy('group')).machines).toEqual(['far-1']);
    lab.simulator.addManagementGroup({ name: 'shops', parent: 'root', subscriptions: [OTHER, LATER] });
    await vm('later-1', {}, LATER);
    expect((await runPolicy('group')).machines).toEqual(['far-1', 'later-1']);
  });

  test('a subscription or a group that cannot be read is reported, and nothing of it vanishes', async () => {
    await put({ id: 'group', scope: { managementGroups: ['root'], machines: ['web-1'] } });
    const before = (await surveyMachines(lab.installation)).machines.map(({ machine }) => machine.name);
    const refused = { kind: 'respond', status: 403, code: 'AuthorizationFailed' } as const;
    for (const path of [`/subscriptions/${OTHER}/providers/Microsoft.Compute/virtualMachines`, 'descendants'])
      lab.simulator.injectFault({ match: { method: 'GET', path }, effect: refused });
    const survey = await surveyMachines(lab.installation);
    expect(lab.simulator.faults.unfired()).toEqual([]);
    lab.simulator.clearFaults();
    expect(survey.machines.map(({ machine }) => machine.name)).toEqual(before);
    expect(survey.troubles.map(({ kind, message }) => [kind, message.split('. ')[0]])).toEqual([
      ['subscription', `Subscription ${OTHER} could not be listed; its 1 machines stay as last seen`],
      [
        'managementGroup',
        'Management group root could not be read; the subscriptions below it stay as last seen',
      ],
    ]);
  });
});

describe('disks that are left out', () => {
  test('are not in the snapshots nor the point, which says why; read whole when they come in later', async () => {
    const temp = { name: 'db-1_DataDisk_0' };
    const scope = (disks: object[]) => ({ machines: ['db-1'], exclude: { disks } }) as PolicyInput['scope'];
    await put({ id: 'db', scope: scope([temp]) });
    const first = await runPolicy('db');
    const points = () => lab.installation.catalog.points.listMachine(first.children[0]?.machineId ?? '');
    const newest = async () => (await points()).at(-1)?.point;
    const without = await newest();
    expect(without?.disks.map(({ name }) => name)).toEqual(['db-1_OsDisk']);
    expect(without?.leftOut).toMatchObject([
      {
        name: 'db-1_DataDisk_0',
        role: 'data',
        lun: 0,
        sizeBytes: 8 * MiB,
        why: 'excluded: disks named db-1_DataDisk_0',
      },
    ]);
    expect(first.children[0]).toMatchObject({
      status: 'succeeded',
      warnings: [],
      notes: ['Disk db-1_DataDisk_0 is left out: excluded: disks named db-1_DataDisk_0.'],
    });
    const name = `${without?.chainId}/${without?.sequence}`;
    await expect(lab.restore({ restorePoint: name, disks: [1] })).rejects.toThrow(
      /has no disk 1; .* left out when it was made.*db-1_DataDisk_0 \(excluded: disks named/,
    );
    const restored = await lab.restore({ restorePoint: name });
    expect([restored.status, restored.disks.length]).toEqual(['succeeded', 1]);
    expect(restored.notes).toEqual([expect.stringContaining('cannot be restored from it: db-1_DataDisk_0')]);

    await put({ id: 'db', scope: scope([]) });
    await runPolicy('db');
    const whole = await newest();
    expect(whole?.leftOut).toBeUndefined();
    expect(whole?.disks.map(({ name: disk, readReason }) => [disk, readReason])).toEqual([
      ['db-1_OsDisk', 'changedBlocks'],
      ['db-1_DataDisk_0', 'first'],
    ]);
    // Out, and in again: its old base is not used.
    await put({ id: 'db', scope: scope([temp]) });
    await runPolicy('db');
    await put({ id: 'db', scope: scope([]) });
    await runPolicy('db');
    const again = (await newest())?.disks.find(({ role }) => role === 'data');
    expect([again?.readReason, again?.number]).toEqual(['first', whole?.disks[1]?.number]);
    await lab.check();
  });

  test('only the OS disks, and a machine of which nothing is left', async () => {
    await put({ id: 'os', scope: { machines: ['db-1'], disks: [{ role: 'os' }] } });
    const { children } = await runPolicy('os');
    expect(children[0]?.disks.map(({ name }) => name)).toEqual(['db-1_OsDisk']);
    await put({ id: 'os', scope: { machines: ['web-1'], disks: [{ role: 'data' }] } });
    const none = await runPolicy('os');
    expect(none.children[0]).toMatchObject({ status: 'failed', error: { code: 'diskUnsupported' } });
  });
});

describe('storing policies', () => {
  const body = (more: object = {}) => ({
    scope: { all: true },
    calendar: { schedules: [{ every: 'day', at: ['22:00'] }] },
    ...more,
  });

  test('put checks what the schema cannot see, and obeys the etag', async () => {
    const { installation } = lab;
    const { etag } = await putPolicy(installation, 'a', body(), null);
    await expect(putPolicy(installation, 'a', body(), null)).rejects.toMatchObject({ code: 'alreadyExists' });
    await expect(putPolicy(installation, 'b', { ...body(), id: 'a' })).rejects.toMatchObject({
      target: 'id',
    });
    for (const [more, target] of [
      [{ storage: { repository: 'nowhere' } }, 'storage.repository'],
      [{ scop: {} }, 'scop'],
      [{ calendar: { schedules: [{ every: 'cron', cron: '61 * * * *' }] } }, 'calendar.schedules.0.cron'],
    ] as const)
      await expect(putPolicy(installation, 'a', body(more))).rejects.toMatchObject({
        code: 'invalidInput',
        target,
      });
    await putPolicy(installation, 'a', body({ priority: 7 }), etag);
    await expect(putPolicy(installation, 'a', body(), etag)).rejects.toMatchObject({
      code: 'preconditionFailed',
    });
  });

  test('a merge patch changes what it names; null takes back what is usual', async () => {
    const { installation } = lab;
    await putPolicy(
      installation,
      'a',
      body({ priority: 7, description: 'x', snapshots: { copyTags: true } }),
    );
    const { value } = await patchPolicy(installation, 'a', {
      priority: null,
      snapshots: { tags: { by: 'us' } },
    });
    expect(value).toMatchObject({
      priority: 500,
      description: 'x',
      snapshots: { copyTags: true, tags: { by: 'us' } },
    });
    await expect(patchPolicy(installation, 'a', { id: 'b' })).rejects.toMatchObject({ target: 'id' });
    await expect(patchPolicy(installation, 'nobody', {})).rejects.toMatchObject({ code: 'notFound' });
    await Promise.all(
      ['p', 'q', 'r'].map((tag) => patchPolicy(installation, 'a', { snapshots: { tags: { [tag]: tag } } })),
    );
    const stored = await installation.catalog.policies.get('a');
    expect(Object.keys(stored?.value.snapshots.tags ?? {}).toSorted()).toEqual(['by', 'p', 'q', 'r']);
  });

  test('a policy that has become wrong can be disabled, and not enabled', async () => {
    const { installation } = lab;
    await installation.catalog.policies.put(
      policySchema.parse({ id: 'a', ...body({ storage: { repository: 'gone' } }) }),
    );
    expect((await setPolicyEnabled(installation, 'a', false)).value.enabled).toBe(false);
    await expect(setPolicyEnabled(installation, 'a', true)).rejects.toMatchObject({
      target: 'storage.repository',
    });
  });

  test('an import writes all or none, and a dry run nothing', async () => {
    const { installation } = lab;
    await putPolicy(installation, 'a', body());
    const ids = async () =>
      (await installation.catalog.policies.list()).map(({ value }) => [value.id, value.priority]);
    const two = [
      { id: 'a', ...body({ priority: 3 }) },
      { id: 'b', ...body() },
    ];
    const bad = await importPolicies(installation, [...two, { id: 'b', ...body({ mvoer: 1 }) }], false);
    expect([bad.imported, bad.findings.map(({ path }) => path)]).toEqual([[], ['/2/mvoer']]);
    const twice = await importPolicies(installation, [...two, two[1]], false);
    expect(twice.findings.map(({ path }) => path)).toEqual(['/2/id']);
    const dry = await importPolicies(installation, two, true);
    expect(dry.imported).toEqual([
      { id: 'a', action: 'replaced', differences: [{ path: '/priority', before: 500, after: 3 }] },
      { id: 'b', action: 'created', differences: [] },
    ]);
    expect(await ids()).toEqual([['a', 500]]);
    expect((await importPolicies(installation, two, false)).imported).toEqual(dry.imported);
    expect(await ids()).toEqual([
      ['a', 3],
      ['b', 500],
    ]);
    const again = await importPolicies(installation, two, false);
    expect(again.imported.map(({ action }) => action)).toEqual(['unchanged', 'unchanged']);
  });

  test('a diff compares with what is stored, both with everything filled in', async () => {
    const { installation } = lab;
    await putPolicy(installation, 'a', body());
    expect(await diffPolicy(installation, 'a', body({ mover: 'worker' }))).toEqual({
      exists: true,
      differences: [],
    });
    expect((await diffPolicy(installation, 'a', body({ mover: 'auto' }))).differences).toEqual([
      { path: '/mover', before: 'worker', after: 'auto' },
    ]);
    expect(await diffPolicy(installation, 'z', body())).toMatchObject({
      exists: false,
      differences: [{ path: '' }],
    });
  });

  test('validate says which machines a policy would mean, and what it would take from others', async () => {
    await put({ id: 'prod', scope: { tags: [{ key: 'env', value: 'prod' }] }, priority: 100 });
    const document = {
      id: 'new',
      ...body({
        priority: 50,
        scope: { machines: ['web-1', 'db-1', 'ghost'], exclude: { tags: [{ key: 'backup' }] } },
        retention: { keep: { daily: { points: 7 } } },
      }),
    };
    const good = await validatePolicy(lab.installation, document);
    expect(good).toMatchObject({
      valid: true,
      errors: [],
      machines: { inScope: 2, excluded: 1, owned: 2, takes: { prod: 1 }, ownedByOthers: {} },
    });
    expect(good.warnings.map(({ path }) => path)).toEqual(['/scope/machines/2']);
    const behind = await validatePolicy(lab.installation, { ...document, priority: 900 });
    expect(behind.machines).toMatchObject({ owned: 1, takes: {}, ownedByOthers: { prod: 1 } });
    const bad = await validatePolicy(lab.installation, { id: 'new', scope: { all: 1 } });
    expect(bad).toMatchObject({
      valid: false,
      policy: null,
      machines: null,
      errors: [{ path: '/scope/all' }],
    });
  });
});

describe('stopping', () => {
  test('a stop cancels the run and its machines, which leave nothing; a policy that runs cannot be removed', async () => {
    const policy = await put({ id: 'stop', scope: { tags: [{ key: 'env', value: 'prod' }] } });
    const run = await requestPolicyRun(lab.installation, lab.instances, policy, null);
    let asked: readonly string[] = [];
    lab.beforeActivity = async (name) => {
      if (name === 'backUpMachines') await lab.run();
      if (name !== 'snapshotDisk' || asked.length > 0) return;
      await expect(removePolicy(lab.installation, 'stop')).rejects.toMatchObject({ code: 'conflict' });
      await expect(refuseWhilePolicyRuns(lab.installation, 'stop')).rejects.toMatchObject({
        code: 'previousRunning',
        target: run.id,
      });
      asked = await stopPolicy(lab.installation, 'stop');
    };
    await lab.run();
    expect(asked[0]).toBe(run.id);
    const children = await lab.installation.catalog.sessions.children(run.id);
    expect([(await lab.session(run.id)).status, ...children.map(({ status }) => status)]).toEqual(
      Array.from({ length: children.length + 1 }, () => 'cancelled'),
    );
    expect(children.length).toBeGreaterThan(0);
    expect(await stopPolicy(lab.installation, 'stop')).toEqual([]);
    await removePolicy(lab.installation, 'stop');
    await expect(stopPolicy(lab.installation, 'stop')).rejects.toMatchObject({ code: 'notFound' });
  });
});

// The last one: what storage signs with the lab's clock ahead of its own, it does not accept.
describe('coverage', () => {
  test('each machine tells its policy, why, since when, whether it is protected, and its power state', async () => {
    const at = lab.clock.now();
    const often = { schedules: [{ every: 'interval' as const, minutes: 5 as const }] };
    await put({ id: 'often', priority: 1, scope: { machines: ['web-1'] }, calendar: often });
    await put({ id: 'all', scope: { resourceGroups: [GROUP] }, calendar: often });
    const look = async (name: string) => {
      const survey = await surveyMachines(lab.installation);
      const one = survey.machines.find(({ machine }) => machine.name === name);
      if (!one) throw new Error(`There is no machine ${name}.`);
      return { ...one, ...(await coverMachine(lab.installation, survey, one)) };
    };
    const web = await look('web-1');
    expect(web.assignment).toEqual({ policyId: 'often', why: 'machine web-1', passedOver: ['all'] });
    expect(web.ownedSince?.getTime()).toBeGreaterThanOrEqual(at.getTime());
    expect(web.coverage.state).toBe('protected');
    await vm('fresh-1', {});
    expect((await look('fresh-1')).coverage.state).toBe('waiting');
    lab.clock.advance(16 * 60_000);
    const late = await look('web-1');
    expect([late.coverage.state, late.ownedSince]).toEqual(['late', web.ownedSince]);
    await lab.installation.catalog.policies.remove('all');
    expect((await look('db-1')).coverage).toMatchObject({ state: 'none', why: 'in no policy' });
    const powered = await withPowerStates(lab.installation, [late.machine]);
    expect(powered[0]?.powerState).toBe('running');
  });
});
