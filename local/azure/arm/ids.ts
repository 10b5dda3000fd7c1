/** Resource ids: `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}[/{type}/{name}]`. Compared without regard to case. */
import { ArmError } from '../errors.ts';

export interface ResourceId {
  subscription: string;
  group: string;
  /** `Microsoft.Compute/disks`, or `Microsoft.Network/virtualNetworks/subnets` for a child. */
  type: string;
  name: string;
  /** Name of the parent, for a child. */
  parent?: string;
}

const SHAPE =
  /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/([^/]+)\/([^/]+)\/([^/]+)(?:\/([^/]+)\/([^/]+))?$/i;

export function parseResourceId(id: string): ResourceId | undefined {
  const match = SHAPE.exec(id);
  if (!match) return undefined;
  const [, subscription, group, namespace, type, name, childType, child] = match as unknown as string[];
  if (childType !== undefined && child !== undefined) {
    return {
      subscription: subscription as string,
      group: group as string,
      type: `${namespace}/${type}/${childType}`,
      name: child,
      parent: name as string,
    };
  }
  return {
    subscription: subscription as string,
    group: group as string,
    type: `${namespace}/${type}`,
    name: name as string,
  };
}

/** Parses an id that a request's body refers to; throws 400 LinkedInvalidPropertyId when it is none of `type`. */
export function referredId(id: string, type: string, property: string): ResourceId {
  const parsed = parseResourceId(id);
  if (!parsed || parsed.type.toLowerCase() !== type.toLowerCase()) {
    throw new ArmError(
      400,
      'LinkedInvalidPropertyId',
      `Property id '${id}' at path '${property}' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
    );
  }
  return parsed;
}

export const groupId = (subscription: string, group: string) =>
  `/subscriptions/${subscription}/resourceGroups/${group}`;

export const resourceId = (subscription: string, group: string, type: string, name: string) =>
  `${groupId(subscription, group)}/providers/${type}/${name}`;

export const sameId = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

/** A resource as ARM shows it. */
export interface ResourceView {
  id: string;
  [name: string]: unknown;
}
