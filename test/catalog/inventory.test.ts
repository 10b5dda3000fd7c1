import { expect, test } from 'vitest';
import { memoryCatalog } from '../../lib/catalog/catalog.ts';
import { type Machine, policySchema } from '../../lib/model/index.ts';
import { TestClock } from './support.ts';

const DAY = 24 * 3600_000;
const machine = (n: number, tags: Record<string, string> = {}): Machine => ({
  id: `0000000${n}-0000-4000-8000-000000000000`,
  armId: `/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm${n}`,
  name: `vm${n}`,
  subscriptionId: 'S',
  resourceGroup: 'g',
  location: 'westeurope',
  powerState: 'running',
  tags,
});
const open = () => {
  const clock = new TestClock();
  return { clock, ...memoryCatalog(clock) };
};
const names = (known: readonly { machine: Machine }[]) => known.map(({ machine: { name } }) => name);

test('a machine keeps since when it was seen and belongs to its policy, whatever is listed of it', async () => {
  const { clock, inventory } = open();
  const began = clock.now().toISOString();
  const [first] = await inventory.record('s', [machine(1)], clock.now());
  if (!first) throw new Error('It was listed.');
  await inventory.assign(first, 'gold', clock.now());
  clock.pass(DAY);
  const [again] = await inventory.record('S', [machine(1, { env: 'prod' })], clock.now());
  expect(again).toEqual({
    machine: { ...machine(1, { env: 'prod' }), powerState: 'unknown' },
    firstSeenAt: began,
    goneAt: null,
    owner: { policyId: 'gold', since: began },
  });
  expect(await inventory.assign(again ?? first, 'gold', clock.now())).toEqual(again);
  const moved = await inventory.assign(again ?? first, 'silver', clock.now());
  expect(moved.owner).toEqual({ policyId: 'silver', since: clock.now().toISOString() });
  expect((await inventory.assign(moved, null, clock.now())).owner).toBeNull();
});

test('a machine that a listing lacks is gone, keeps its place for a week, and is forgotten then', async () => {
  const { clock, inventory } = open();
  const [one] = await inventory.record('s', [machine(1), machine(2)], clock.now());
  if (!one) throw new Error('It was listed.');
  await inventory.assign(one, 'gold', clock.now());
  expect(names(await inventory.record('s', [machine(2)], clock.now()))).toEqual(['vm2']);
  expect((await inventory.list('s')).map(({ goneAt }) => goneAt !== null)).toEqual([true, false]);
  clock.pass(6 * DAY);
  const [back] = await inventory.record('s', [machine(1), machine(2)], clock.now());
  expect([back?.goneAt, back?.owner?.policyId]).toEqual([null, 'gold']);
  await inventory.record('s', [machine(2)], clock.now());
  clock.pass(8 * DAY);
  await inventory.record('s', [machine(2)], clock.now());
  expect(names(await inventory.list('s'))).toEqual(['vm2']);
});

test('looks at the same time, and a listing that says a machine twice, do no harm', async () => {
  const { clock, inventory } = open();
  const many = Array.from({ length: 120 }, (_, n) => ({
    ...machine(1),
    id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    name: `vm${n}`,
  }));
  await Promise.all(
    [many, [...many, ...many.slice(0, 3)], many.slice(60)].map((listed) =>
      inventory.record('s', listed, clock.now()),
    ),
  );
  expect(names(await inventory.record('s', many, clock.now())).length).toBe(120);
  expect((await inventory.list('s')).every(({ goneAt }) => goneAt === null)).toBe(true);
});

test('what was below a management group is remembered; one that was never read is not known', async () => {
  const { inventory } = open();
  expect(await inventory.below('root')).toBeNull();
  await inventory.recordBelow('ROOT', ['b', 'a']);
  await inventory.recordBelow('root', ['a', 'b']);
  expect(await inventory.below('Root')).toEqual(['a', 'b']);
  await inventory.recordBelow('root', []);
  expect(await inventory.below('root')).toEqual([]);
});

test('what did not change is not written', async () => {
  const { clock, inventory } = open();
  await inventory.record('s', [machine(1, { a: '1', b: '2' })], clock.now());
  clock.pass(DAY);
  const [known] = await inventory.record('s', [machine(1, { b: '2', a: '1' })], clock.now());
  expect(await inventory.list('s')).toEqual([
    { ...known, machine: { ...machine(1, { a: '1', b: '2' }), powerState: 'unknown' } },
  ]);
});

test('many policies are stored together, or none of them', async () => {
  const { policies } = open();
  const policy = (id: string, priority = 500) => policySchema.parse({ id, priority, scope: {} });
  const { etag } = await policies.put(policy('a'));
  const priorities = async () => (await policies.list()).map(({ value }) => [value.id, value.priority]);
  await expect(
    policies.putAll([
      { policy: policy('b'), etag: null },
      { policy: policy('a', 1), etag: 'another' },
    ]),
  ).rejects.toMatchObject({ code: 'preconditionFailed' });
  await expect(
    policies.putAll([
      { policy: policy('b'), etag: null },
      { policy: policy('a'), etag: null },
    ]),
  ).rejects.toMatchObject({ code: 'alreadyExists' });
  expect(await priorities()).toEqual([['a', 500]]);
  await policies.putAll([
    { policy: policy('b'), etag: null },
    { policy: policy('a', 1), etag },
  ]);
  expect(await priorities()).toEqual([
    ['a', 1],
    ['b', 500],
  ]);
});
