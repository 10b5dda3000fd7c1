import type { Machine, TagMatch } from '../model/index.ts';

/** Names and ids as Azure compares them. */
export const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** A region's name from its name or its display name: `West Europe` is `westeurope`. */
const regionName = (region: string): string => region.toLowerCase().replaceAll(' ', '');
export const sameRegion = (a: string, b: string): boolean => regionName(a) === regionName(b);

/** Keys without regard to case, values exactly. */
export const hasTag = (tags: Readonly<Record<string, string>>, { key, value }: TagMatch): boolean =>
  Object.entries(tags).some(([name, has]) => same(name, key) && (value === null || has === value));

/** `env=prod`, or `env` for any value. */
export const tagText = ({ key, value }: TagMatch): string => (value === null ? key : `${key}=${value}`);

const MACHINE_ID =
  /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/Microsoft\.Compute\/virtualMachines\/([^/]+)$/i;

/** A reference to a machine, split. Without a subscription it is a vmId or a bare name. */
export function splitReference(
  reference: string,
): { readonly subscription: string; readonly group: string; readonly name: string } | null {
  const [, subscription, group, name] =
    MACHINE_ID.exec(reference) ?? /^([^/]+)\/([^/]+)\/([^/]+)$/.exec(reference) ?? [];
  return subscription && group && name ? { subscription, group, name } : null;
}

/** Whether the reference (ARM id, vmId, `subscription/group/name`, name) means this machine. */
export function refersTo(reference: string, machine: Machine): boolean {
  const place = splitReference(reference);
  if (place === null) return same(reference, machine.id) || same(reference, machine.name);
  return (
    same(place.subscription, machine.subscriptionId) &&
    same(place.group, machine.resourceGroup) &&
    same(place.name, machine.name)
  );
}

/** A resource group reference, split; `subscription` null for a bare name. */
export function splitGroup(reference: string): {
  readonly subscription: string | null;
  readonly name: string;
} {
  const cut = reference.indexOf('/');
  if (cut < 0) return { subscription: null, name: reference };
  return { subscription: reference.slice(0, cut), name: reference.slice(cut + 1) };
}

/** `*` stands for anything, without regard to case. */
export function matchesGlob(glob: string, text: string): boolean {
  const pattern = glob
    .split('*')
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
    .join('.*');
  return new RegExp(`^${pattern}$`, 'is').test(text);
}
