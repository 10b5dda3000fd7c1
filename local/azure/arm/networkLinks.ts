/** What network resources refer to, and who refers to them: rights to join, existence, refusal to delete what is in use. */
import { ArmError } from '../errors.ts';
import type { ArmApp, ArmRequest } from './app.ts';
import { sameId } from './ids.ts';
import type { MachineRecord, MachineRecords } from './machineRecords.ts';
import {
  ipConfigurationsOf,
  type NetworkRecord,
  type NetworkRecords,
  type Subnet,
  subnetsOf,
} from './networkRecords.ts';

export interface NetworkServices {
  app: ArmApp;
  network: NetworkRecords;
  machines: MachineRecords;
  tagLimit: number;
}

/** The machine that uses an interface. */
export const userOf = (machines: MachineRecords, nic: NetworkRecord): MachineRecord | undefined =>
  machines.machines.values().find((machine) => machine.interfaces.some((used) => sameId(used.id, nic.id)));

/** What an interface or a subnet refers to must exist, and the caller must be allowed to join it. */
export function requireLinks(
  { app, network }: Pick<NetworkServices, 'app' | 'network'>,
  request: ArmRequest,
  record: NetworkRecord,
  subnets: Subnet[] = subnetsOf(record),
): void {
  const link = (id: string | undefined, noun: string) => {
    if (id === undefined) return;
    app.core.roles.requireLinked(request.caller, `Microsoft.Network/${record.type}/write`, record.id, {
      action: `Microsoft.Network/${noun}/join/action`,
      scope: id,
    });
    const exists = noun === 'virtualNetworks/subnets' ? network.subnet(id) : network.get(id);
    if (!exists)
      throw new ArmError(
        400,
        'InvalidResourceReference',
        `Resource ${id} referenced by resource ${record.id} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
      );
  };
  link((record.properties.networkSecurityGroup as { id: string } | undefined)?.id, 'networkSecurityGroups');
  for (const ip of ipConfigurationsOf(record)) {
    if (record.type !== 'networkInterfaces') break;
    link(ip.properties.subnet?.id, 'virtualNetworks/subnets');
    link(ip.properties.publicIPAddress?.id, 'publicIPAddresses');
  }
  for (const subnet of subnets) link(subnet.properties.networkSecurityGroup?.id, 'networkSecurityGroups');
}

export function refuseInUse({ network, machines }: NetworkServices, record: NetworkRecord): void {
  const refuse = (code: string, what: string, user: string) => {
    throw new ArmError(
      400,
      code,
      `${what} ${record.id} is in use by ${user} and cannot be deleted. In order to delete it, it must be dissociated first.`,
    );
  };
  if (record.type === 'networkInterfaces') {
    const user = userOf(machines, record);
    if (user) refuse('NicInUse', 'Network interface', user.id);
    return;
  }
  if (record.type === 'virtualNetworks') {
    for (const subnet of subnetsOf(record)) refuseSubnetInUse(network, `${record.id}/subnets/${subnet.name}`);
    return;
  }
  const refers = (id: string | undefined) => id !== undefined && sameId(id, record.id);
  const user = network.resources
    .values()
    .find((other) =>
      record.type === 'networkSecurityGroups'
        ? refers((other.properties.networkSecurityGroup as { id?: string } | undefined)?.id) ||
          subnetsOf(other).some((subnet) => refers(subnet.properties.networkSecurityGroup?.id))
        : other.type === 'networkInterfaces' &&
          ipConfigurationsOf(other).some((ip) => refers(ip.properties.publicIPAddress?.id)),
    );
  if (!user) return;
  if (record.type === 'networkSecurityGroups')
    refuse('InUseNetworkSecurityGroupCannotBeDeleted', 'Network security group', user.id);
  refuse('PublicIPAddressCannotBeDeleted', 'Public IP address', user.id);
}

export function refuseSubnetInUse(network: NetworkRecords, id: string): void {
  const [user] = network.interfacesIn(id);
  if (user)
    throw new ArmError(
      400,
      'InUseSubnetCannotBeDeleted',
      `Subnet ${id.split('/').at(-1)} is in use by ${user.id} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.`,
    );
}
