import type { NetworkSecurityGroup, VirtualNetwork } from '@azure/arm-network';
import { armId, HoldfastError, isHoldfastError } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { startOperation, waitForOperation } from './operations.ts';
import { checkTags, type Tags } from './tags.ts';

export interface WorkerNetworkRequest {
  /** The worker resource group; it exists. */
  readonly resourceGroup: string;
  readonly location: string;
  /** Names are `<prefix>-<location>-vnet` and so on. */
  readonly namePrefix: string;
  readonly tags: Tags;
  /** Default 10.211.0.0/22: workers talk to nobody in the network, so regions may share it. */
  readonly addressPrefix?: string;
}

const ADDRESSES = '10.211.0.0/22';
const SUBNET = 'workers';
/** Two PUTs and two GETs fit into an activity. */
const WAIT_SECONDS = 20;

/**
 * The network of a region's workers, made when the installation names none: VNet, one subnet without default outbound access, NSG that
 * lets nothing in. Workers reach storage (`Microsoft.Storage.Global`: repository and disk SAS of any region) and the app (`Microsoft.Web`)
 * by service endpoints, and nothing else. Returns the subnet's ARM id. May be called any number of times, by several at once; on
 * `timeout` call it again.
 */
export async function ensureWorkerNetwork(
  connection: AzureConnection,
  request: WorkerNetworkRequest,
  options?: CallOptions,
): Promise<string> {
  const { resourceGroup, location, namePrefix, tags } = request;
  checkTags(tags, `${namePrefix}-${location}-vnet`);
  const { subscriptionId } = connection.settings;
  const idOf = (type: string, name: string) =>
    armId(subscriptionId, resourceGroup, `Microsoft.Network/${type}`, name);
  const groupName = `${namePrefix}-${location}-nsg`;
  const networkName = `${namePrefix}-${location}-vnet`;
  const groupId = idOf('networkSecurityGroups', groupName);
  const networkId = idOf('virtualNetworks', networkName);
  const client = connection.network();
  const subnetId = `${networkId}/subnets/${SUBNET}`;

  const network = await orNull(() =>
    client.virtualNetworks.get(resourceGroup, networkName, connection.call(options)),
  );
  const subnet = network?.subnets?.find(({ name }) => name === SUBNET);
  if (network?.provisioningState === 'Succeeded' && subnet?.networkSecurityGroup)
    return subnet.id ?? subnetId;
  if (network?.location && network.location.toLowerCase() !== location.toLowerCase()) {
    throw new HoldfastError('conflict', `"${networkName}" is in ${network.location}, not in ${location}.`, {
      target: networkId,
    });
  }

  const ensure = async (resourceId: string, what: string, call: Parameters<typeof startOperation>[2]) => {
    const operation = await startOperation(connection, { what, resourceId }, call, options);
    await waitForOperation(connection, operation, WAIT_SECONDS, options);
  };
  await ensure(groupId, `create security group "${groupName}"`, (call) =>
    client.networkSecurityGroups.createOrUpdate(
      resourceGroup,
      groupName,
      securityGroup(location, tags),
      call,
    ),
  );
  await ensure(networkId, `create network "${networkName}"`, (call) =>
    client.virtualNetworks.createOrUpdate(
      resourceGroup,
      networkName,
      virtualNetwork(location, tags, groupId, request.addressPrefix ?? ADDRESSES),
      call,
    ),
  );
  return subnetId;
}

function securityGroup(location: string, tags: Tags): NetworkSecurityGroup {
  return {
    location,
    tags: { ...tags },
    securityRules: [
      {
        // Azure's default rules let the virtual network and load balancers in.
        name: 'nothing-in',
        priority: 4096,
        direction: 'Inbound',
        access: 'Deny',
        protocol: '*',
        sourceAddressPrefix: '*',
        sourcePortRange: '*',
        destinationAddressPrefix: '*',
        destinationPortRange: '*',
      },
    ],
  };
}

function virtualNetwork(location: string, tags: Tags, groupId: string, addresses: string): VirtualNetwork {
  return {
    location,
    tags: { ...tags },
    addressSpace: { addressPrefixes: [addresses] },
    subnets: [
      {
        name: SUBNET,
        addressPrefix: addresses,
        defaultOutboundAccess: false,
        networkSecurityGroup: { id: groupId },
        serviceEndpoints: [{ service: 'Microsoft.Storage.Global' }, { service: 'Microsoft.Web' }],
      },
    ],
  };
}

async function orNull<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (isHoldfastError(error, 'notFound')) return null;
    throw error;
  }
}
