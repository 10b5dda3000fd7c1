import { HoldfastError } from './errors.ts';

/** An ARM id, split: `/subscriptions/S/resourceGroups/G/providers/NS/TYPE/NAME`. */
export interface ArmId {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Namespace and type, e.g. `Microsoft.Compute/disks`. */
  readonly type: string;
  readonly name: string;
}

const SHAPE = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/([^/]+\/[^/]+)\/([^/]+)$/i;

/** Throws `invalidInput` when `id` is not the id of a resource in a resource group. */
export function parseArmId(id: string): ArmId {
  const [, subscriptionId, resourceGroup, type, name] = SHAPE.exec(id) ?? [];
  if (!subscriptionId || !resourceGroup || !type || !name) {
    throw new HoldfastError('invalidInput', `"${id}" is not the ARM id of a resource in a resource group.`, {
      target: id,
    });
  }
  return { subscriptionId, resourceGroup, type, name };
}

export const armId = (subscriptionId: string, resourceGroup: string, type: string, name: string): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/${type}/${name}`;

/** ARM compares ids without regard to case. */
export const sameArmId = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
