/** Network interfaces, virtual networks with subnets, security groups, public addresses: create, get, list, tag, delete; refused while in use. */
import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { ArmReply, ArmRequest } from './app.ts';
import { checkName, parseBody } from './body.ts';
import { type ResourceView, sameId } from './ids.ts';
import { type NetworkServices, refuseInUse, requireLinks, userOf } from './networkLinks.ts';
import {
  type IpConfiguration,
  ipConfigurationsOf,
  macAddress,
  type NetworkRecord,
  type NetworkRecords,
  type NetworkType,
  networkId,
  subnetsOf,
} from './networkRecords.ts';
import { subnetRoutes, subnetView } from './subnets.ts';
import { checkTags } from './tags.ts';

const TYPES: NetworkType[] = [
  'networkInterfaces',
  'virtualNetworks',
  'networkSecurityGroups',
  'publicIPAddresses',
];

const named = z.looseObject({
  name: z.string(),
  id: z.string().optional(),
  properties: z.looseObject({}).default({}),
});
const networkBody = z.looseObject({
  location: z.string(),
  tags: z.record(z.string(), z.string()).optional(),
  zones: z.array(z.string()).optional(),
  sku: z.unknown().optional(),
  properties: z
    .looseObject({
      subnets: z.array(named).optional(),
      ipConfigurations: z.array(named).optional(),
      securityRules: z.array(named).optional(),
    })
    .default({}),
});
const tagsBody = z.looseObject({ tags: z.record(z.string(), z.string()).default({}) });

export function networkRoutes(services: NetworkServices): void {
  const { app, network } = services;
  const { operations } = app.core;
  operations.register('network.written', (operation) => {
    const record = network.get(operation.target);
    if (!record) return;
    record.provisioningState = operation.outcome.status === 'Succeeded' ? 'Succeeded' : 'Failed';
    network.save(record);
  });
  operations.register('network.deleted', (operation) => {
    const record = network.get(operation.target);
    if (record && operation.outcome.status === 'Succeeded') network.resources.delete(record.id);
  });
  for (const type of TYPES) typeRoutes(services, type);
  subnetRoutes(services);
}

function typeRoutes(services: NetworkServices, type: NetworkType): void {
  const { app, network, tagLimit } = services;
  const group = `/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Network/${type}`;
  const action = `Microsoft.Network/${type}`;
  const find = (request: ArmRequest) =>
    network.require(
      request.params.s as string,
      request.params.g as string,
      type,
      request.params.name as string,
    );
  const listed = (request: ArmRequest) =>
    app.listReply(
      request,
      `${action}/read`,
      network
        .list(type, request.params.s as string, request.params.g)
        .map((record) => networkView(services, record)),
    );
  app.route(
    'GET',
    `/subscriptions/{s}/providers/Microsoft.Network/${type}`,
    { action: `${action}/read`, list: true },
    listed,
  );
  app.route('GET', group, { action: `${action}/read`, list: true }, listed);
  app.route('GET', `${group}/{name}`, { action: `${action}/read` }, (request) => ({
    status: 200,
    body: networkView(services, find(request)),
  }));
  app.route('PUT', `${group}/{name}`, { action: `${action}/write` }, (request) => {
    const { s, g, name } = request.params as { s: string; g: string; name: string };
    checkName(name, 'name');
    const body = parseBody(networkBody, request.body);
    checkTags(body.tags, tagLimit);
    const known = network.get(networkId(s, g, type, name));
    const record = networkRecord(
      services,
      { s, g, type, name, location: app.core.subscriptions.requireLocation(s, body.location) },
      body,
      known,
    );
    requireLinks(services, request, record);
    network.save(record);
    return accepted(services, request, record, known ? 200 : 201);
  });
  app.route('PATCH', `${group}/{name}`, { action: `${action}/write` }, (request) => {
    const record = find(request);
    const { tags } = parseBody(tagsBody, request.body);
    checkTags(tags, tagLimit);
    record.tags = tags;
    network.save(record);
    return { status: 200, body: networkView(services, record) };
  });
  app.route('DELETE', `${group}/{name}`, { action: `${action}/delete` }, (request) => {
    const record = network.get(
      networkId(request.params.s as string, request.params.g as string, type, request.params.name as string),
    );
    if (!record) return { status: 204 };
    refuseInUse(services, record);
    record.provisioningState = 'Deleting';
    network.save(record);
    const order = {
      service: 'network',
      location: record.location,
      target: record.id,
      finisher: 'network.deleted',
    } as const;
    return app.startOperation(request, order, { status: 202, monitor: true }).reply;
  });
}

function accepted(
  services: NetworkServices,
  request: ArmRequest,
  record: NetworkRecord,
  status: number,
): ArmReply {
  const order = {
    service: 'network',
    location: record.location,
    target: record.id,
    finisher: 'network.written',
  } as const;
  return services.app.startOperation(request, order, {
    status,
    monitor: false,
    body: networkView(services, record),
  }).reply;
}

/** A record from a body; parts get their ids, interfaces their addresses. Also used for interfaces that a machine's PUT makes. */
export function networkRecord(
  { network }: Pick<NetworkServices, 'network'>,
  at: { s: string; g: string; type: NetworkType; name: string; location: string },
  body: Pick<z.output<typeof networkBody>, 'tags' | 'zones' | 'sku' | 'properties'>,
  known?: NetworkRecord,
): NetworkRecord {
  const id = networkId(at.s, at.g, at.type, at.name);
  const part = <T extends { name: string; properties: Record<string, unknown> }>(
    kind: string,
    given: T,
  ): T => ({
    ...given,
    id: `${id}/${kind}/${given.name}`,
    etag: `W/"${randomUUID()}"`,
    properties: { ...given.properties, provisioningState: 'Succeeded' },
  });
  const properties: Record<string, unknown> = { ...body.properties };
  if (at.type === 'virtualNetworks')
    properties.subnets = (body.properties.subnets ?? (known ? subnetsOf(known) : [])).map((subnet) =>
      part('subnets', subnet),
    );
  if (at.type === 'networkSecurityGroups')
    properties.securityRules = (body.properties.securityRules ?? []).map((rule) =>
      part('securityRules', rule),
    );
  if (at.type === 'networkInterfaces') {
    const before = known ? ipConfigurationsOf(known) : [];
    properties.ipConfigurations = (body.properties.ipConfigurations ?? []).map((ip, index) =>
      part('ipConfigurations', withAddress(network, ip as IpConfiguration, before[index], index === 0)),
    );
  }
  if (at.type === 'publicIPAddresses') {
    properties.publicIPAllocationMethod ??= 'Static';
    properties.publicIPAddressVersion ??= 'IPv4';
    properties.ipAddress =
      known?.properties.ipAddress ?? `203.0.113.${1 + (network.resources.values().length % 250)}`;
  }
  return {
    id,
    type: at.type,
    subscription: at.s,
    group: at.g,
    name: at.name,
    location: at.location,
    tags: body.tags ?? {},
    ...(body.zones === undefined ? {} : { zones: body.zones }),
    ...(body.sku === undefined ? {} : { sku: body.sku }),
    etag: '',
    resourceGuid: known?.resourceGuid ?? randomUUID(),
    // The network service says so before its operation has ended.
    provisioningState: 'Succeeded',
    properties,
  };
}

function withAddress(
  network: NetworkRecords,
  ip: IpConfiguration,
  before: IpConfiguration | undefined,
  first: boolean,
): IpConfiguration {
  const { subnet, privateIPAddress } = ip.properties;
  const kept =
    before?.properties.subnet && subnet && sameId(before.properties.subnet.id, subnet.id)
      ? before.properties.privateIPAddress
      : undefined;
  return {
    ...ip,
    properties: {
      privateIPAllocationMethod: 'Dynamic',
      primary: first,
      privateIPAddressVersion: 'IPv4',
      ...ip.properties,
      privateIPAddress: privateIPAddress ?? kept ?? (subnet ? network.freeAddress(subnet.id) : ''),
    },
  };
}

function networkView({ network, machines }: NetworkServices, record: NetworkRecord): ResourceView {
  const derived: Record<string, unknown> = {};
  if (record.type === 'networkInterfaces') {
    const user = userOf(machines, record);
    derived.macAddress = macAddress(record.resourceGuid);
    if (user) derived.virtualMachine = { id: user.id };
    derived.enableAcceleratedNetworking = record.properties.enableAcceleratedNetworking ?? false;
    derived.enableIPForwarding = record.properties.enableIPForwarding ?? false;
    derived.nicType = 'Standard';
  }
  if (record.type === 'virtualNetworks') {
    derived.subnets = subnetsOf(record).map((subnet) => subnetView(network, record, subnet));
    derived.enableDdosProtection = false;
  }
  return {
    name: record.name,
    id: record.id,
    etag: record.etag,
    type: `Microsoft.Network/${record.type}`,
    location: record.location,
    tags: record.tags,
    ...(record.zones === undefined ? {} : { zones: record.zones }),
    ...(record.sku === undefined ? {} : { sku: record.sku }),
    properties: {
      ...record.properties,
      ...derived,
      resourceGuid: record.resourceGuid,
      provisioningState: record.provisioningState,
    },
  };
}
