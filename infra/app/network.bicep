// Where workers of the home region live: nothing comes in, no public addresses of their own, and out only to storage
// (snapshots, repository) and the app. Names and addresses are those that the app itself uses where it makes a network
// (lib/azure/workerNetwork.ts), so that it finds this one.
param virtualNetworkName string
param securityGroupName string
param natGatewayName string
param publicIpName string
param location string
param tags object

@allowed(['serviceEndpoints', 'natGateway'])
param outbound string

var withNatGateway = outbound == 'natGateway'

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2024-07-01' = {
  name: securityGroupName
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-in'
        properties: {
          description: 'Workers ask; nobody calls them, not even from this network.'
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource publicIp 'Microsoft.Network/publicIPAddresses@2024-07-01' = if (withNatGateway) {
  name: publicIpName
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource natGateway 'Microsoft.Network/natGateways@2024-07-01' = if (withNatGateway) {
  name: natGatewayName
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    publicIpAddresses: [{ id: publicIp.id }]
  }
}

resource virtualNetwork 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: virtualNetworkName
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.211.0.0/22'] }
    subnets: [
      {
        name: 'workers'
        properties: {
          addressPrefix: '10.211.0.0/22'
          defaultOutboundAccess: false
          networkSecurityGroup: { id: securityGroup.id }
          natGateway: withNatGateway ? { id: natGateway.id } : null
          serviceEndpoints: [{ service: 'Microsoft.Storage.Global' }, { service: 'Microsoft.Web' }]
        }
      }
    ]
  }
}

output subnetId string = virtualNetwork.properties.subnets[0].id
