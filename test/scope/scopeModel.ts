/**
 * What a scope means, written down by the letter of docs/policies.md: sets of machines by brute force. Shares nothing with
 * lib/scope.
 */
import type { Machine, Scope } from '../../lib/model/index.ts';

export interface World {
  readonly protected: readonly string[];
  readonly groups: Readonly<Record<string, readonly string[]>>;
}

const low = (text: string): string => text.toLowerCase();
const region = (text: string): string => low(text).split(' ').join('');

export function inScope(scope: Scope, machine: Machine, world: World): boolean {
  const sub = low(machine.subscriptionId);
  const ours = world.protected.map(low).includes(sub);
  const below = (id: string) => (world.groups[low(id)] ?? []).map(low).includes(sub);
  // Every way in which a person may write this machine down, and this group.
  const place = `${sub}/${low(machine.resourceGroup)}/${low(machine.name)}`;
  const bare = [low(machine.name), low(machine.id)];
  const full = [place, low(machine.armId)];
  const groups = [`${sub}/${low(machine.resourceGroup)}`, ...(ours ? [low(machine.resourceGroup)] : [])];
  const tagged = ({ key, value }: { key: string; value: string | null }) => {
    const has = new Map(Object.entries(machine.tags).map(([k, v]) => [low(k), v])).get(low(key));
    return has !== undefined && (value === null || has === value);
  };

  const excluded =
    scope.exclude.machines.map(low).some((one) => bare.includes(one) || full.includes(one)) ||
    scope.exclude.tags.some(tagged);
  if (excluded) return false;
  if (scope.regions.length > 0 && !scope.regions.map(region).includes(machine.location)) return false;

  const reasons: boolean[] = [
    scope.all && ours,
    scope.managementGroups.some(below),
    scope.subscriptions.map(low).includes(sub),
    scope.resourceGroups.map(low).some((one) => groups.includes(one)),
    ours && scope.tags.some(tagged),
    scope.machines.map(low).some((one) => full.includes(one) || (ours && bare.includes(one))),
    scope.conditions.some((condition) => {
      const names = condition.resourceGroup?.split('/') ?? [];
      const facts: boolean[] = [];
      let placed = false;
      if (condition.managementGroup !== undefined) {
        placed = true;
        facts.push(below(condition.managementGroup));
      }
      if (condition.subscription !== undefined) {
        placed = true;
        facts.push(low(condition.subscription) === sub);
      }
      if (names.length === 2) {
        placed = true;
        facts.push(low(names[0] ?? '') === sub);
      }
      if (names.length > 0) facts.push(low(names.at(-1) ?? '') === low(machine.resourceGroup));
      if (condition.region !== undefined) facts.push(region(condition.region) === machine.location);
      if (!placed) facts.push(ours);
      return [...facts, ...condition.tags.map(tagged)].every(Boolean);
    }),
  ];
  return reasons.some(Boolean);
}
