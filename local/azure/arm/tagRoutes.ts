/** The Tags API: tags of a resource, group or subscription by the right on tags alone. */
import * as z from 'zod';
import { ArmError, resourceNotFound } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';
import type { ArmApp, ArmReply, ArmRequest } from './app.ts';
import { parseBody } from './body.ts';
import type { DiskRecords } from './diskRecords.ts';
import { groupId, parseResourceId, resourceId } from './ids.ts';
import type { MachineRecords } from './machineRecords.ts';
import type { NetworkRecords } from './networkRecords.ts';
import { checkTags, mergeTags, type Tags, withoutTags } from './tags.ts';

const body = z.looseObject({
  properties: z.looseObject({ tags: z.record(z.string(), z.string()).default({}) }).default({ tags: {} }),
});
const patch = body.extend({ operation: z.enum(['Merge', 'Replace', 'Delete']) });

interface Holder {
  id: string;
  tags: Tags;
  save: (tags: Tags) => void;
}

export interface TagServices {
  app: ArmApp;
  state: StateStore;
  disks: DiskRecords;
  machines: MachineRecords;
  network: NetworkRecords;
  tagLimit: number;
}

export function tagRoutes(services: TagServices): void {
  const { app, tagLimit } = services;
  const subscriptionTags: Collection<{ tags: Tags }> = services.state.collection('subscriptionTags');
  const SUFFIX = '/providers/Microsoft.Resources/tags/default';
  const scopes = [
    '/subscriptions/{s}',
    '/subscriptions/{s}/resourceGroups/{g}',
    '/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}',
  ];
  const scopeOf = (path: string) => path.slice(0, path.toLowerCase().lastIndexOf(SUFFIX.toLowerCase()));
  const reply = (holder: Holder, tags: Tags): ArmReply => ({
    status: 200,
    body: {
      id: `${holder.id}${SUFFIX}`,
      name: 'default',
      type: 'Microsoft.Resources/tags',
      properties: { tags },
    },
  });
  const write = (request: ArmRequest, change: (old: Tags) => Tags): ArmReply => {
    const holder = findHolder(services, subscriptionTags, request);
    const tags = change(holder.tags);
    checkTags(tags, tagLimit);
    holder.save(tags);
    return reply(holder, tags);
  };
  for (const scope of scopes) {
    const route = (method: string, right: string, handle: (request: ArmRequest) => ArmReply) =>
      app.route(
        method,
        `${scope}${SUFFIX}`,
        { action: `Microsoft.Resources/tags/${right}`, scope: scopeOf },
        handle,
      );
    route('GET', 'read', (request) => {
      const holder = findHolder(services, subscriptionTags, request);
      return reply(holder, holder.tags);
    });
    route('PUT', 'write', (request) => {
      const { properties } = parseBody(body, request.body);
      return write(request, () => properties.tags);
    });
    route('PATCH', 'write', (request) => {
      const { operation, properties } = parseBody(patch, request.body);
      return write(request, (old) => {
        if (operation === 'Replace') return properties.tags;
        return operation === 'Merge' ? mergeTags(old, properties.tags) : withoutTags(old, properties.tags);
      });
    });
    route('DELETE', 'delete', (request) => {
      write(request, () => ({}));
      return { status: 200 };
    });
  }
}

function findHolder(
  services: TagServices,
  subscriptionTags: Collection<{ tags: Tags }>,
  request: ArmRequest,
): Holder {
  const { app, disks, machines, network } = services;
  const { s, g, namespace, type, name } = request.params as {
    s: string;
    g?: string;
    namespace?: string;
    type?: string;
    name?: string;
  };
  if (g === undefined) {
    return {
      id: `/subscriptions/${s}`,
      tags: subscriptionTags.get(s)?.tags ?? {},
      save: (tags) => void subscriptionTags.set(s, { tags }),
    };
  }
  if (name === undefined) {
    const group = app.core.groups.get(s, g);
    if (!group) throw new ArmError(404, 'ResourceGroupNotFound', `Resource group '${g}' could not be found.`);
    return { id: groupId(s, g), tags: group.tags, save: (tags) => app.core.groups.save({ ...group, tags }) };
  }
  const id = resourceId(s, g, `${namespace}/${type}`, name);
  const disk = disks.get(id);
  if (disk)
    return {
      id: disk.id,
      tags: disk.tags,
      save: (tags) => (Object.assign(disk, { tags }), disks.save(disk)),
    };
  const machine = machines.get(id);
  if (machine)
    return {
      id: machine.id,
      tags: machine.tags,
      save: (tags) => (Object.assign(machine, { tags }), machines.save(machine)),
    };
  const resource = network.get(id);
  if (resource)
    return {
      id: resource.id,
      tags: resource.tags,
      save: (tags) => (Object.assign(resource, { tags }), void network.save(resource)),
    };
  throw resourceNotFound(`${parseResourceId(id)?.type ?? type}/${name}`, g);
}
