import type { Condition, Machine, Scope } from '../model/index.ts';
import { hasTag, refersTo, same, sameRegion, splitGroup, splitReference, tagText } from './match.ts';
import { isBelow, isProtected, type Places } from './places.ts';

/** `out`: nothing in the scope names it. `excluded`: an exclusion does, whatever else names it. */
export interface Verdict {
  readonly verdict: 'in' | 'out' | 'excluded';
  /** For a person: what brought it in, or what keeps it out. */
  readonly why: string;
}

/** Whether a machine is in a policy's scope, and why. */
export function judgeMachine(scope: Scope, machine: Machine, places: Places): Verdict {
  const excluded = exclusionOf(scope, machine);
  if (excluded !== null) return { verdict: 'excluded', why: excluded };
  const why = inclusionOf(scope, machine, places);
  if (why === null) return { verdict: 'out', why: 'nothing in the scope names it' };
  if (scope.regions.length > 0 && !scope.regions.some((region) => sameRegion(region, machine.location)))
    return { verdict: 'out', why: `its region ${machine.location} is none of the scope's` };
  return { verdict: 'in', why };
}

function exclusionOf({ exclude }: Scope, machine: Machine): string | null {
  const reference = exclude.machines.find((one) => refersTo(one, machine));
  if (reference !== undefined) return `excluded by name (${reference})`;
  const tag = exclude.tags.find((one) => hasTag(machine.tags, one));
  return tag ? `excluded by tag ${tagText(tag)}` : null;
}

/** The parts of a scope that bring machines in, each entry by itself, with its place in the document. */
export interface ScopeEntry {
  /** JSON pointer below the policy: `/scope/tags/0`. */
  readonly path: string;
  /** For a person: `tag env=prod`. */
  readonly what: string;
  readonly names: (machine: Machine, places: Places) => boolean;
}

/** In the order in which a reason is given: the most particular first. */
export function entriesOf(scope: Scope): ScopeEntry[] {
  const each = <T>(
    list: readonly T[],
    key: keyof Scope,
    what: (entry: T) => string,
    names: (entry: T, machine: Machine, places: Places) => boolean,
  ): ScopeEntry[] =>
    list.map((entry, index) => ({
      path: `/scope/${key}/${index}`,
      what: what(entry),
      names: (machine, places) => names(entry, machine, places),
    }));
  return [
    ...each(scope.machines, 'machines', (reference) => `machine ${reference}`, namesMachine),
    ...each(scope.conditions, 'conditions', ({ name }) => `condition ${name}`, meets),
    ...each(
      scope.tags,
      'tags',
      (tag) => `tag ${tagText(tag)}`,
      (tag, { subscriptionId, tags }, places) => isProtected(subscriptionId, places) && hasTag(tags, tag),
    ),
    ...each(scope.resourceGroups, 'resourceGroups', (group) => `resource group ${group}`, isInGroup),
    ...each(
      scope.subscriptions,
      'subscriptions',
      (id) => `subscription ${id}`,
      (id, { subscriptionId }) => same(id, subscriptionId),
    ),
    ...each(
      scope.managementGroups,
      'managementGroups',
      (id) => `management group ${id}`,
      (id, { subscriptionId }, places) => isBelow(subscriptionId, id, places),
    ),
    ...(scope.all
      ? [
          {
            path: '/scope/all',
            what: 'all machines',
            names: ({ subscriptionId }: Machine, places: Places) => isProtected(subscriptionId, places),
          },
        ]
      : []),
  ];
}

const inclusionOf = (scope: Scope, machine: Machine, places: Places): string | null =>
  entriesOf(scope).find(({ names }) => names(machine, places))?.what ?? null;

const namesMachine = (reference: string, machine: Machine, places: Places): boolean =>
  refersTo(reference, machine) &&
  (splitReference(reference) !== null || isProtected(machine.subscriptionId, places));

function isInGroup(reference: string, { resourceGroup, subscriptionId }: Machine, places: Places): boolean {
  const { subscription, name } = splitGroup(reference);
  if (!same(name, resourceGroup)) return false;
  return subscription === null ? isProtected(subscriptionId, places) : same(subscription, subscriptionId);
}

function meets(condition: Condition, machine: Machine, places: Places): boolean {
  const { managementGroup, subscription, resourceGroup, region, tags } = condition;
  const group = resourceGroup === undefined ? null : splitGroup(resourceGroup);
  const named = subscription ?? group?.subscription ?? null;
  const id = machine.subscriptionId;
  if (managementGroup !== undefined && !isBelow(id, managementGroup, places)) return false;
  if (subscription !== undefined && !same(subscription, id)) return false;
  if (group?.subscription && !same(group.subscription, id)) return false;
  if (managementGroup === undefined && named === null && !isProtected(id, places)) return false;
  if (group && !same(group.name, machine.resourceGroup)) return false;
  if (region !== undefined && !sameRegion(region, machine.location)) return false;
  return tags.every((tag) => hasTag(machine.tags, tag));
}

/** Entries of a scope that no machine answers to, regions and exclusions apart. */
export const emptyNames = (
  scope: Scope,
  machines: readonly Machine[],
  places: Places,
): Pick<ScopeEntry, 'path' | 'what'>[] =>
  entriesOf(scope)
    .filter(({ names }) => !machines.some((machine) => names(machine, places)))
    .map(({ path, what }) => ({ path, what }));
