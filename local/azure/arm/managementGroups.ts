/** Management groups: a tree above the subscriptions, seeded by the admin API; reading what is below one. */
import { ArmError } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';
import type { ArmApp } from './app.ts';
import type { ResourceView } from './ids.ts';

export interface ManagementGroupRecord {
  name: string;
  displayName: string;
  /** Name of the group above; absent for the root. */
  parent?: string;
  subscriptions: string[];
}

const TYPE = 'Microsoft.Management/managementGroups';
const idOf = (name: string): string => `/providers/${TYPE}/${name}`;
/** Small, so that a client that reads only one page fails here. */
const PAGE = 3;

export class ManagementGroups {
  private readonly records: Collection<ManagementGroupRecord>;

  constructor(state: StateStore) {
    this.records = state.collection('managementGroups');
  }

  get(name: string): ManagementGroupRecord | undefined {
    return this.records.get(name);
  }

  /** Adds or replaces a group; a subscription is below one group only, the last that was given it. */
  put(record: ManagementGroupRecord): { id: string } {
    if (record.parent !== undefined && !this.get(record.parent))
      throw new Error(`No management group is named '${record.parent}'.`);
    for (const other of this.records.values()) {
      const kept = other.subscriptions.filter((id) => !record.subscriptions.includes(id));
      if (kept.length < other.subscriptions.length)
        this.records.set(other.name, { ...other, subscriptions: kept });
    }
    this.records.set(record.name, record);
    return { id: idOf(record.name) };
  }

  /** What is below a group, at every level: its groups first, then its subscriptions, then theirs. */
  below(name: string): { group?: ManagementGroupRecord; subscription?: string; parent: string }[] {
    const own = this.get(name);
    const groups = this.records.filter((one) => one.parent?.toLowerCase() === name.toLowerCase());
    return [
      ...groups.map((group) => ({ group, parent: name })),
      ...(own?.subscriptions ?? []).map((subscription) => ({ subscription, parent: name })),
      ...groups.flatMap((group) => this.below(group.name)),
    ];
  }

  /** The scopes of the groups above a scope: roles that are assigned there hold below. */
  above(scope: string): string[] {
    const [, subscription] = /^\/subscriptions\/([^/]+)/i.exec(scope) ?? [];
    const [, name] = /^\/providers\/Microsoft\.Management\/managementGroups\/([^/]+)/i.exec(scope) ?? [];
    let group = subscription
      ? this.records
          .values()
          .find((one) => one.subscriptions.some((id) => id.toLowerCase() === subscription.toLowerCase()))
      : this.get(this.get(name ?? '')?.parent ?? '');
    const scopes: string[] = [];
    for (; group; group = group.parent === undefined ? undefined : this.get(group.parent))
      scopes.push(idOf(group.name));
    return scopes;
  }
}

export function managementGroupRoutes(app: ArmApp, groups: ManagementGroups): void {
  const { subscriptions } = app.core;
  app.route(
    'GET',
    `/providers/${TYPE}/{group}/descendants`,
    { action: `${TYPE}/descendants/read` },
    (request) => {
      const name = request.params.group as string;
      if (!groups.get(name))
        throw new ArmError(404, 'NotFound', `The management group '${name}' cannot be found.`);
      const all = groups.below(name).map(({ group, subscription = '', parent }): ResourceView => {
        const above = { parent: { id: idOf(parent) } };
        if (group)
          return {
            id: idOf(group.name),
            type: TYPE,
            name: group.name,
            properties: { displayName: group.displayName, ...above },
          };
        const { displayName } = subscriptions.require(subscription);
        return {
          id: `/subscriptions/${subscription}`,
          type: '/subscriptions',
          name: subscription,
          properties: { displayName, ...above },
        };
      });
      const from = Number(request.query.get('$skiptoken') ?? 0);
      const top = Number(request.query.get('$top') ?? PAGE);
      const next = new URL(request.path, app.core.base());
      next.searchParams.set('api-version', request.apiVersion);
      next.searchParams.set('$skiptoken', String(from + top));
      const more = from + top < all.length;
      return {
        status: 200,
        body: { value: all.slice(from, from + top), ...(more ? { nextLink: next.href } : {}) },
      };
    },
  );
}
