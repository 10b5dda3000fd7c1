/** Subnets of a virtual network: routes of their own, kept in the network's record. */
import * as z from 'zod';
import { ArmError } from '../errors.ts';
import type { ArmRequest } from './app.ts';
import { parseBody } from './body.ts';
import { type NetworkServices, refuseSubnetInUse, requireLinks } from './networkLinks.ts';
import {
  ipConfigurationsOf,
  type NetworkRecord,
  type NetworkRecords,
  type Subnet,
  subnetsOf,
} from './networkRecords.ts';

const subnetBody = z.looseObject({ properties: z.looseObject({ addressPrefix: z.string().optional() }) });

export function subnetRoutes(services: NetworkServices): void {
  const { app, network } = services;
  const group =
    '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Network/virtualNetworks/{name}/subnets';
  const action = 'Microsoft.Network/virtualNetworks/subnets';
  const parent = (request: ArmRequest) =>
    network.require(
      request.params.s as string,
      request.params.g as string,
      'virtualNetworks',
      request.params.name as string,
    );
  const find = (request: ArmRequest) => {
    const record = parent(request);
    const subnet = subnetsOf(record).find(
      (known) => known.name.toLowerCase() === (request.params.subnet as string).toLowerCase(),
    );
    if (!subnet)
      throw new ArmError(
        404,
        'NotFound',
        `Resource ${record.id}/subnets/${request.params.subnet} not found.`,
      );
    return { record, subnet };
  };
  app.route('GET', group, { action: `${action}/read` }, (request) => {
    const record = parent(request);
    return {
      status: 200,
      body: { value: subnetsOf(record).map((subnet) => subnetView(network, record, subnet)) },
    };
  });
  app.route('GET', `${group}/{subnet}`, { action: `${action}/read` }, (request) => {
    const { record, subnet } = find(request);
    return { status: 200, body: subnetView(network, record, subnet) };
  });
  app.route('PUT', `${group}/{subnet}`, { action: `${action}/write` }, (request) => {
    const record = parent(request);
    const body = parseBody(subnetBody, request.body);
    const name = request.params.subnet as string;
    const subnet: Subnet = {
      name,
      properties: { ...body.properties, provisioningState: 'Succeeded' } as Subnet['properties'],
    };
    requireLinks(services, request, record, [subnet]);
    const others = subnetsOf(record).filter((known) => known.name.toLowerCase() !== name.toLowerCase());
    const isNew = others.length === subnetsOf(record).length;
    record.properties.subnets = [...others, subnet];
    network.save(record);
    const order = {
      service: 'network',
      location: record.location,
      target: record.id,
      finisher: 'network.written',
    } as const;
    return app.startOperation(request, order, {
      status: isNew ? 201 : 200,
      monitor: false,
      body: subnetView(network, record, subnet),
    }).reply;
  });
  app.route('DELETE', `${group}/{subnet}`, { action: `${action}/delete` }, (request) => {
    const { record, subnet } = find(request);
    refuseSubnetInUse(network, `${record.id}/subnets/${subnet.name}`);
    record.properties.subnets = subnetsOf(record).filter((known) => known !== subnet);
    network.save(record);
    const order = {
      service: 'network',
      location: record.location,
      target: record.id,
      finisher: 'network.written',
    } as const;
    return app.startOperation(request, order, { status: 202, monitor: true }).reply;
  });
}

export function subnetView(network: NetworkRecords, parent: NetworkRecord, subnet: Subnet): object {
  const id = `${parent.id}/subnets/${subnet.name}`;
  const users = network
    .interfacesIn(id)
    .flatMap((nic) => ipConfigurationsOf(nic).map((ip) => ({ id: `${nic.id}/ipConfigurations/${ip.name}` })));
  return {
    ...subnet,
    id,
    type: 'Microsoft.Network/virtualNetworks/subnets',
    properties: {
      delegations: [],
      privateEndpointNetworkPolicies: 'Disabled',
      ...subnet.properties,
      ...(users.length === 0 ? {} : { ipConfigurations: users }),
    },
  };
}
