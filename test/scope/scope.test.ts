import { describe, expect, test } from 'vitest';
import { type Disk, GiB, type Machine, policySchema, scopeSchema } from '../../lib/model/index.ts';
import {
  assignMachines,
  describeScope,
  judgeMachine,
  leaveOutDisks,
  placesOf,
} from '../../lib/scope/index.ts';

const machine = (name: string, more: Partial<Machine> = {}): Machine => ({
  id: '0f9e8d7c-6b5a-4938-8271-605f4e3d2c1b',
  armId: `/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/${name}`,
  name,
  subscriptionId: 's1',
  resourceGroup: 'shop',
  location: 'westeurope',
  powerState: 'running',
  tags: { Env: 'prod' },
  ...more,
});
const places = placesOf(['s1'], { Corp: ['s1', 's7'] });
const judge = (scope: object, one = machine('web-1')) => judgeMachine(scopeSchema.parse(scope), one, places);

describe('as Azure compares', () => {
  test('the key of a tag in any case, its value exactly', () => {
    expect(judge({ tags: [{ key: 'ENV', value: 'prod' }] })).toEqual({ verdict: 'in', why: 'tag ENV=prod' });
    expect(judge({ tags: [{ key: 'env', value: 'PROD' }] }).verdict).toBe('out');
    expect(judge({ tags: [{ key: 'env' }] }).verdict).toBe('in');
  });
  test('a region by its name or its display name', () => {
    expect(judge({ all: true, regions: ['West Europe'] }).verdict).toBe('in');
    expect(judge({ all: true, regions: ['eastus'] })).toEqual({
      verdict: 'out',
      why: "its region westeurope is none of the scope's",
    });
  });
});

test.each([
  [{ all: true }, 'all machines'],
  [{ subscriptions: ['S1'] }, 'subscription S1'],
  [{ resourceGroups: ['Shop'] }, 'resource group Shop'],
  [{ resourceGroups: ['s1/shop'] }, 'resource group s1/shop'],
  [{ tags: [{ key: 'env' }] }, 'tag env'],
  [{ machines: ['WEB-1'] }, 'machine WEB-1'],
])('%j brings a machine in, and by itself no other one', (scope, why) => {
  expect(judge(scope)).toEqual({ verdict: 'in', why });
  const other = { name: 'db-1', subscriptionId: 's8', resourceGroup: 'bank', tags: {} };
  expect(judge(scope, machine('db-1', other)).verdict).toBe('out');
});

test('an exclusion wins over everything that names the machine', () => {
  const exclude = { tags: [{ key: 'env', value: 'prod' }] };
  expect(judge({ all: true, machines: ['web-1'], exclude })).toEqual({
    verdict: 'excluded',
    why: 'excluded by tag env=prod',
  });
  expect(judge({ all: true, exclude: { machines: ['s1/SHOP/WEB-1'] } }).verdict).toBe('excluded');
});

test('a management group means every subscription below it, whether the installation lists it or not', () => {
  expect(judge({ managementGroups: ['corp'] }, machine('x', { subscriptionId: 's7' })).verdict).toBe('in');
  expect(judge({ all: true }, machine('x', { subscriptionId: 's7' })).verdict).toBe('out');
  const gold = { name: 'gold', managementGroup: 'CORP', tags: [{ key: 'env', value: 'prod' }] };
  expect(judge({ conditions: [gold] }, machine('x', { subscriptionId: 's7' })).why).toBe('condition gold');
});

test('a condition wants all that it says', () => {
  const condition = {
    name: 'c',
    resourceGroup: 'shop',
    tags: [{ key: 'env', value: 'prod' }, { key: 'tier' }],
  };
  expect(judge({ conditions: [condition] }).verdict).toBe('out');
  expect(judge({ conditions: [condition] }, machine('a', { tags: { env: 'prod', tier: '' } })).verdict).toBe(
    'in',
  );
});

test('a disabled policy owns nothing, and started by hand takes only what no enabled one has', () => {
  const first = policySchema.parse({ id: 'first', enabled: false, priority: 1, scope: { all: true } });
  const second = policySchema.parse({ id: 'second', scope: { machines: ['web-1'] } });
  const web = machine('web-1');
  const db = machine('db-1', { id: '1f9e8d7c-6b5a-4938-8271-605f4e3d2c1b' });
  const owners = (late?: string) =>
    [...assignMachines([first, second], [web, db], places, late)].map(([, { policyId }]) => policyId);
  expect([owners(), owners('first')]).toEqual([['second'], ['second', 'first']]);
});

const disk = (name: string, lun: number | null, gib: number, tags = {}): Disk => ({
  kind: 'managed',
  id: `/d/${name}`,
  name,
  uniqueId: name,
  role: lun === null ? 'os' : 'data',
  lun,
  sizeBytes: gib * GiB,
  sectorSize: 512,
  location: 'westeurope',
  sku: 'Premium_LRS',
  configuration: { tags },
});

test('disks are left out by role, LUN, name, tag and size, and each says why', () => {
  const disks = [
    disk('web-1_OsDisk', null, 30),
    disk('web-1_temp', 0, 100),
    disk('web-1_data', 1, 1024, { Backup: 'no' }),
    disk('web-1_big', 2, 2048),
    disk('web-1_logs', 3, 64),
  ];
  const given = policySchema.parse({
    id: 'p',
    scope: {
      exclude: {
        disks: [
          { name: '*_TEMP' },
          { tag: { key: 'backup', value: 'no' }, role: 'data' },
          { largerThanGiB: 1024 },
          { machine: 'other', lun: 3 },
        ],
      },
    },
  }).scope;
  const { kept, leftOut } = leaveOutDisks(
    { onlyDisks: [], excludeDisks: given.exclude.disks },
    machine('web-1'),
    disks,
  );
  expect(kept.map(({ name }) => name)).toEqual(['web-1_OsDisk', 'web-1_logs']);
  expect(leftOut.map(({ disk: { name }, why }) => [name, why])).toEqual([
    ['web-1_temp', 'excluded: disks named *_TEMP'],
    ['web-1_data', 'excluded: data disks with tag backup=no'],
    ['web-1_big', 'excluded: disks larger than 1024 GiB'],
  ]);
});

test('only the OS disk: the others say what they are not among; an exclusion wins over it', () => {
  const disks = [disk('os', null, 30), disk('data', 0, 30)];
  const rules = { onlyDisks: [{ role: 'os' as const }], excludeDisks: [] };
  expect(leaveOutDisks(rules, machine('m'), disks)).toEqual({
    kept: [disks[0]],
    leftOut: [{ disk: disks[1], why: 'not among: the OS disk' }],
  });
  expect(leaveOutDisks({ ...rules, excludeDisks: [{ name: 'o*' }] }, machine('m'), disks).kept).toEqual([]);
});

test('a scope in words', () => {
  const scope = scopeSchema.parse({
    resourceGroups: ['shop'],
    tags: [{ key: 'env', value: 'prod' }, { key: 'gold' }],
    regions: ['westeurope'],
    exclude: { machines: [machine('web-9').armId], disks: [{ role: 'data', largerThanGiB: 500 }] },
  });
  expect(describeScope(scope)).toBe(
    'resource group shop, tag gold, tag env=prod; only in westeurope; not machine web-9, data disks larger than 500 GiB',
  );
  expect(describeScope(scopeSchema.parse({}))).toBe('nothing');
});
