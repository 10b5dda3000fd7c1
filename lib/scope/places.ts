import type { Scope } from '../model/index.ts';
import { splitGroup, splitReference } from './match.ts';

/** What has to be known of the tenant to judge a machine. All ids in lower case. */
export interface Places {
  /** The subscriptions that the installation protects. */
  readonly protected: ReadonlySet<string>;
  /** Of each management group: the subscriptions below it, at any level. One that is not known has none. */
  readonly managementGroups: ReadonlyMap<string, ReadonlySet<string>>;
}

export const placesOf = (
  subscriptions: readonly string[],
  managementGroups: Readonly<Record<string, readonly string[]>> = {},
): Places => ({
  protected: new Set(subscriptions.map((id) => id.toLowerCase())),
  managementGroups: new Map(
    Object.entries(managementGroups).map(([id, below]) => [
      id.toLowerCase(),
      new Set(below.map((one) => one.toLowerCase())),
    ]),
  ),
});

/** What scopes name beside what the installation protects: these have to be looked at too. In lower case, each once. */
export function placesIn(scopes: readonly Scope[]): {
  readonly subscriptions: readonly string[];
  readonly managementGroups: readonly string[];
} {
  const named = scopes.flatMap((scope) => [
    ...scope.subscriptions,
    ...scope.resourceGroups.map((group) => splitGroup(group).subscription),
    ...scope.machines.map((reference) => splitReference(reference)?.subscription),
    ...scope.conditions.flatMap(({ subscription, resourceGroup }) => [
      subscription,
      resourceGroup === undefined ? undefined : splitGroup(resourceGroup).subscription,
    ]),
  ]);
  const groups = scopes.flatMap((scope) => [
    ...scope.managementGroups,
    ...scope.conditions.map(({ managementGroup }) => managementGroup),
  ]);
  return { subscriptions: eachOnce(named), managementGroups: eachOnce(groups) };
}

const eachOnce = (ids: readonly (string | null | undefined)[]): string[] => [
  ...new Set(ids.filter((id) => id !== null && id !== undefined).map((id) => id.toLowerCase())),
];

export const isProtected = (subscriptionId: string, places: Places): boolean =>
  places.protected.has(subscriptionId.toLowerCase());

export const isBelow = (subscriptionId: string, managementGroup: string, places: Places): boolean =>
  places.managementGroups.get(managementGroup.toLowerCase())?.has(subscriptionId.toLowerCase()) ?? false;
