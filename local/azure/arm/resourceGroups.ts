/** Resource groups: create, get, list, delete with everything in them. */
import * as z from 'zod';
import { groupNotFound } from '../errors.ts';
import type { ArmApp, ArmRequest } from './app.ts';
import { parseBody } from './body.ts';
import type { ResourceView } from './ids.ts';
import type { ResourceGroupRecord } from './resourceGroupRecords.ts';
import { checkTags } from './tags.ts';

const groupBody = z.looseObject({ location: z.string(), tags: z.record(z.string(), z.string()).optional() });
const patchBody = z.looseObject({ tags: z.record(z.string(), z.string()).optional() });

export function groupView(record: ResourceGroupRecord): ResourceView {
  return {
    id: record.id,
    name: record.name,
    type: 'Microsoft.Resources/resourceGroups',
    location: record.location,
    tags: record.tags,
    properties: { provisioningState: record.provisioningState },
  };
}

const BASE = '/subscriptions/{s}/resourceGroups';
const ACTION = 'Microsoft.Resources/subscriptions/resourceGroups';

/** `empty` deletes the contents of a group, in an order that works. */
export function resourceGroupRoutes(
  app: ArmApp,
  tagLimit: number,
  empty: (group: ResourceGroupRecord) => void,
): void {
  const { groups, subscriptions, operations } = app.core;
  const find = (request: ArmRequest) => {
    const group = groups.get(request.params.s as string, request.params.name as string);
    if (!group) throw groupNotFound(request.params.name as string);
    return group;
  };
  app.route('GET', BASE, { action: `${ACTION}/read`, list: true }, (request) =>
    app.listReply(request, `${ACTION}/read`, groups.list(request.params.s as string).map(groupView)),
  );
  app.route('GET', `${BASE}/{name}`, { action: `${ACTION}/read` }, (request) => ({
    status: 200,
    body: groupView(find(request)),
  }));
  app.route('HEAD', `${BASE}/{name}`, { action: `${ACTION}/read` }, (request) => ({
    status: groups.get(request.params.s as string, request.params.name as string) ? 204 : 404,
  }));
  app.route('PUT', `${BASE}/{name}`, { action: `${ACTION}/write` }, (request) => {
    const { s, name } = request.params as { s: string; name: string };
    const body = parseBody(groupBody, request.body);
    checkTags(body.tags, tagLimit);
    const known = groups.get(s, name);
    const group = groups.put(s, name, subscriptions.requireLocation(s, body.location), body.tags);
    return { status: known ? 200 : 201, body: groupView(group) };
  });
  app.route('PATCH', `${BASE}/{name}`, { action: `${ACTION}/write` }, (request) => {
    const group = find(request);
    const body = parseBody(patchBody, request.body);
    checkTags(body.tags, tagLimit);
    if (body.tags) group.tags = body.tags;
    groups.save(group);
    return { status: 200, body: groupView(group) };
  });
  operations.register('group.deleted', (record) => {
    const group = groups.find(record.target);
    if (!group) return;
    if (record.outcome.status === 'Succeeded') {
      empty(group);
      groups.delete(group.id);
    } else {
      group.provisioningState = 'Succeeded';
      groups.save(group);
    }
  });
  app.route('DELETE', `${BASE}/{name}`, { action: `${ACTION}/delete` }, (request) => {
    const group = find(request);
    group.provisioningState = 'Deleting';
    groups.save(group);
    const order = {
      service: 'resources',
      location: group.location,
      target: group.id,
      finisher: 'group.deleted',
    } as const;
    return app.startOperation(request, order, { status: 202, monitor: true }).reply;
  });
}
