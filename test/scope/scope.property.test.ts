import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Policy, policySchema } from '../../lib/model/index.ts';
import { assignMachines, emptyNames, judgeMachine, placesIn, placesOf } from '../../lib/scope/index.ts';
import * as any from './arbitraries.ts';
import { inScope, type World } from './scopeModel.ts';

const known = (world: World) => placesOf(world.protected, world.groups);

test('a machine is in a scope exactly when the brute-force model says so', () => {
  let within = 0;
  let excluded = 0;
  fc.assert(
    fc.property(any.places, any.machines, any.scope, (world, machines, scope) => {
      for (const machine of machines) {
        const { verdict, why } = judgeMachine(scope, machine, known(world));
        expect(verdict === 'in', why).toBe(inScope(scope, machine, world));
        if (verdict === 'in') within++;
        if (verdict === 'excluded') excluded++;
      }
    }),
    { numRuns: 3000 },
  );
  expect(Math.min(within, excluded)).toBeGreaterThan(200);
});

const policies: fc.Arbitrary<Policy[]> = fc
  .uniqueArray(
    fc.record({
      id: fc.constantFrom('alpha', 'beta', 'gamma', 'delta'),
      enabled: fc.boolean(),
      priority: fc.constantFrom(1, 500, 1000),
      scope: any.scope,
      sla: fc.constantFrom(null, { rpoMinutes: 60 as const }),
    }),
    { selector: ({ id }) => id, maxLength: 4 },
  )
  .map((list) => list.map((one) => policySchema.parse(one)));

test('a machine belongs to the first of the enabled policies that have it in scope: SLA, then priority, then id', () => {
  let contested = 0;
  fc.assert(
    fc.property(any.places, any.machines, policies, (world, machines, all) => {
      const expected = machines.flatMap((machine) => {
        let best: Policy | null = null;
        const claims = all.filter(({ enabled, scope }) => enabled && inScope(scope, machine, world));
        for (const one of claims) {
          const rank = ({ sla, priority, id }: Policy) =>
            [sla ? '0' : '1', String(priority + 10_000), id].join();
          if (best === null || rank(one) < rank(best)) best = one;
        }
        if (claims.length > 1) contested++;
        return best ? [[machine.id, best.id, claims.length - 1]] : [];
      });
      const found = [...assignMachines(all, machines, known(world))];
      expect(found.map(([id, { policyId, passedOver }]) => [id, policyId, passedOver.length])).toEqual(
        expected,
      );
    }),
    { numRuns: 4000 },
  );
  expect(contested).toBeGreaterThan(100);
});

test('one policy does not change what another one means: adding a policy only ever takes machines for itself', () => {
  fc.assert(
    fc.property(any.places, any.machines, policies, (world, machines, all) => {
      const [added, ...before] = all;
      const then = assignMachines(before, machines, known(world));
      const others = [...assignMachines(all, machines, known(world))].filter(
        ([, { policyId }]) => policyId !== added?.id,
      );
      expect(others.map(([id, { policyId }]) => [id, policyId])).toEqual(
        others.map(([id]) => [id, then.get(id)?.policyId]),
      );
    }),
  );
});

test('what a scope names is enough to be looked at: a machine outside of it is never in scope', () => {
  fc.assert(
    fc.property(any.places, any.machines, any.scope, (world, machines, scope) => {
      const { subscriptions, managementGroups } = placesIn([scope]);
      const seen = new Set([
        ...world.protected,
        ...subscriptions,
        ...managementGroups.flatMap((id) => world.groups[id as 'top' | 'leaf'] ?? []),
      ]);
      const outside = machines.filter(({ subscriptionId }) => !seen.has(subscriptionId.toLowerCase()));
      const found = outside.filter((machine) => judgeMachine(scope, machine, known(world)).verdict === 'in');
      expect(found).toEqual([]);
    }),
  );
});

test('an entry that is told as empty can be taken out without changing anything', () => {
  fc.assert(
    fc.property(any.places, any.machines, any.scope, (world, machines, scope) => {
      const empty = new Set(emptyNames(scope, machines, known(world)).map(({ path }) => path));
      const without = { ...scope, all: scope.all && !empty.has('/scope/all') };
      for (const key of [
        'machines',
        'tags',
        'resourceGroups',
        'subscriptions',
        'managementGroups',
        'conditions',
      ] as const)
        (without as Record<string, unknown>)[key] = scope[key].filter(
          (_, i) => !empty.has(`/scope/${key}/${i}`),
        );
      for (const machine of machines)
        expect(judgeMachine(without, machine, known(world)).verdict).toBe(
          judgeMachine(scope, machine, known(world)).verdict,
        );
    }),
  );
});
