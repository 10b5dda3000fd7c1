/** Network resources as the resource manager knows them. No packets flow: only what ARM shows and refuses is here. */
import { createHash, randomUUID } from 'node:crypto';
import { resourceNotFound } from '../errors.ts';
import type { Collection, StateStore } from '../state.ts';
import { resourceId, sameId } from './ids.ts';
import type { Tags } from './tags.ts';

export type NetworkType =
  | 'networkInterfaces'
  | 'virtualNetworks'
  | 'networkSecurityGroups'
  | 'publicIPAddresses';

export interface NetworkRecord {
  id: string;
  type: NetworkType;
  subscription: string;
  group: string;
  name: string;
  location: string;
  tags: Tags;
  zones?: string[];
  sku?: unknown;
  etag: string;
  resourceGuid: string;
  provisioningState: 'Updating' | 'Deleting' | 'Succeeded' | 'Failed';
  /** As shown, without what is derived on reading (who uses it). */
  properties: Record<string, unknown>;
}

export interface IpConfiguration {
  name: string;
  id?: string;
  etag?: string;
  properties: Record<string, unknown> & {
    subnet?: { id: string };
    publicIPAddress?: { id: string; properties?: { deleteOption?: string } };
    privateIPAddress?: string;
  };
}

export interface Subnet {
  name: string;
  id?: string;
  etag?: string;
  properties: Record<string, unknown> & { addressPrefix?: string; networkSecurityGroup?: { id: string } };
}

export const networkId = (s: string, g: string, type: NetworkType, name: string) =>
  resourceId(s, g, `Microsoft.Network/${type}`, name);

export class NetworkRecords {
  readonly resources: Collection<NetworkRecord>;

  constructor(state: StateStore) {
    this.resources = state.collection('network');
  }

  get(id: string): NetworkRecord | undefined {
    return this.resources.get(id);
  }

  require(s: string, g: string, type: NetworkType, name: string): NetworkRecord {
    const record = this.resources.get(networkId(s, g, type, name));
    if (!record) throw resourceNotFound(`Microsoft.Network/${type}/${name}`, g);
    return record;
  }

  list(type: NetworkType, s: string, g?: string): NetworkRecord[] {
    return this.resources.filter(
      (known) =>
        known.type === type &&
        known.subscription.toLowerCase() === s.toLowerCase() &&
        (g === undefined || known.group.toLowerCase() === g.toLowerCase()),
    );
  }

  save(record: NetworkRecord): NetworkRecord {
    record.etag = `W/"${randomUUID()}"`;
    return this.resources.set(record.id, record);
  }

  subnet(id: string): Subnet | undefined {
    const [parent, name] = id.split(/\/subnets\//i);
    const record = parent === undefined ? undefined : this.get(parent);
    return subnetsOf(record).find((subnet) => subnet.name.toLowerCase() === name?.toLowerCase());
  }

  interfacesIn(subnetId: string): NetworkRecord[] {
    return this.resources.filter(
      (known) =>
        known.type === 'networkInterfaces' &&
        ipConfigurationsOf(known).some(
          (ip) => ip.properties.subnet && sameId(ip.properties.subnet.id, subnetId),
        ),
    );
  }

  /** A free address of the subnet, after the five that Azure keeps. */
  freeAddress(subnetId: string): string {
    const prefix = this.subnet(subnetId)?.properties.addressPrefix ?? '10.0.0.0/24';
    const [network = '10.0.0.0', bits = '24'] = prefix.split('/');
    const first = network.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    const used = new Set(
      this.interfacesIn(subnetId).flatMap((nic) =>
        ipConfigurationsOf(nic).map((ip) => ip.properties.privateIPAddress),
      ),
    );
    for (let host = 4; host < 2 ** (32 - Number(bits)) - 1; host += 1) {
      const address = [24, 16, 8, 0].map((shift) => Math.floor((first + host) / 2 ** shift) % 256).join('.');
      if (!used.has(address)) return address;
    }
    return '';
  }
}

export const subnetsOf = (record: NetworkRecord | undefined): Subnet[] =>
  (record?.properties.subnets as Subnet[] | undefined) ?? [];
export const ipConfigurationsOf = (record: NetworkRecord): IpConfiguration[] =>
  (record.properties.ipConfigurations as IpConfiguration[] | undefined) ?? [];

/** A stable hardware address. */
export function macAddress(guid: string): string {
  const digits = createHash('sha256').update(guid).digest('hex').slice(0, 6).toUpperCase();
  return `00-0D-3A-${digits.slice(0, 2)}-${digits.slice(2, 4)}-${digits.slice(4, 6)}`;
}
