import fc from 'fast-check';
import type { Machine } from '../../lib/model/index.ts';
import { type Scope, scopeSchema } from '../../lib/model/index.ts';

/** A small world, so that what scopes name is often there: 4 subscriptions, 3 groups, 3 names, 3 tags. */
export const SUBSCRIPTIONS = ['sub-a', 'sub-b', 'sub-c', 'sub-d'];
const GROUPS = ['shop', 'Bank', 'lab'];
const NAMES = ['web-1', 'DB-1', 'app'];
const REGIONS = ['westeurope', 'northeurope', 'eastus'];
const TAGS = [
  ['env', 'prod'],
  ['env', 'Prod'],
  ['tier', 'gold'],
  ['Backup', 'no'],
] as const;

const anyCase = (text: string): fc.Arbitrary<string> =>
  fc.constantFrom(text, text.toUpperCase(), text.toLowerCase());
const oneOf = (words: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...words).chain(anyCase);

export const places = fc.record({
  protected: fc.subarray(SUBSCRIPTIONS, { minLength: 1 }),
  groups: fc.record({ top: fc.subarray(SUBSCRIPTIONS), leaf: fc.subarray(SUBSCRIPTIONS, { maxLength: 1 }) }),
});

const machine: fc.Arbitrary<Omit<Machine, 'id'>> = fc
  .record({
    name: oneOf(NAMES),
    subscriptionId: oneOf(SUBSCRIPTIONS),
    resourceGroup: oneOf(GROUPS),
    location: fc.constantFrom(...REGIONS),
    powerState: fc.constant('running' as const),
    tags: fc
      .subarray([...TAGS])
      .map((chosen) => Object.fromEntries(chosen.map(([key, value]) => [key, value]))),
  })
  .map((one) => ({
    ...one,
    armId: `/subscriptions/${one.subscriptionId}/resourceGroups/${one.resourceGroup}/providers/Microsoft.Compute/virtualMachines/${one.name}`,
  }));

const idOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

export const machines: fc.Arbitrary<Machine[]> = fc
  .uniqueArray(machine, {
    maxLength: 12,
    selector: ({ armId }) => armId.toLowerCase(),
  })
  .map((list) => list.map((one, index) => ({ id: idOf(index), ...one })));

const reference = fc.oneof(
  oneOf(NAMES),
  fc.nat(12).map(idOf),
  fc
    .tuple(oneOf(SUBSCRIPTIONS), oneOf(GROUPS), oneOf(NAMES))
    .chain(([sub, group, name]) =>
      fc.constantFrom(
        `${sub}/${group}/${name}`,
        `/subscriptions/${sub}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachines/${name}`,
      ),
    ),
);
const group = fc.oneof(
  oneOf(GROUPS),
  fc.tuple(oneOf(SUBSCRIPTIONS), oneOf(GROUPS)).map(([sub, name]) => `${sub}/${name}`),
);
const tag = fc.record({
  key: oneOf(['env', 'tier', 'backup']),
  value: fc.constantFrom(null, 'prod', 'Prod', 'gold', 'no'),
});
const managementGroup = oneOf(['top', 'leaf', 'unknown']);
const few = <T>(one: fc.Arbitrary<T>, maxLength = 2): fc.Arbitrary<T[]> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant<T[]>([]) }, fc.array(one, { maxLength }));

const condition = fc
  .record(
    {
      name: fc.constant('c'),
      managementGroup,
      subscription: oneOf(SUBSCRIPTIONS),
      resourceGroup: group,
      region: fc.constantFrom(...REGIONS, 'West Europe'),
      tags: fc.array(tag, { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: ['name'] },
  )
  .filter((one) => Object.keys(one).length > 1);

export const scope: fc.Arbitrary<Scope> = fc
  .record({
    all: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
    managementGroups: few(managementGroup, 1),
    subscriptions: few(oneOf(SUBSCRIPTIONS), 1),
    resourceGroups: few(group),
    tags: few(tag),
    machines: few(reference),
    conditions: few(condition),
    regions: few(fc.constantFrom(...REGIONS, 'West Europe')),
    exclude: fc.record({ machines: few(reference), tags: few(tag, 1) }),
  })
  .map((given) => scopeSchema.parse(given));
