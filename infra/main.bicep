// One installation of Holdfast: the app, its repository and the place for its workers, each in a resource group of its
// own, and the roles that the app needs where it protects machines. docs/deploy.md says how to deploy it.
targetScope = 'subscription'

@description('Name of the azd environment; resource groups are named after it.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Home region: of the app and of the repository, and of workers unless a machine says otherwise.')
@minLength(1)
param location string

@description('Object id of whoever deploys: may write the secrets and upload the worker package.')
param operatorId string

@description('What the operator is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorType string = 'User'

@description('Audience that tokens of workers must name: the identifier URI of an Entra application (docs/deploy.md).')
@minLength(1)
param workerAudience string

@description('Subscriptions whose machines are protected, separated by commas. Empty: the one that is deployed to.')
param protectedSubscriptionIds string = ''

@description('Subscriptions that disks and machines may be restored to, separated by commas. Empty: none.')
param restoreSubscriptionIds string = ''

@description('Resource ids of the storage accounts that unmanaged disks of protected machines are in, separated by commas. Empty: none are backed up.')
param vhdStorageAccountIds string = ''

@description('Subscriptions in whose guests policies may run scripts, as root, separated by commas. Empty: none.')
param guestSubscriptionIds string = ''

@description('VM sizes of workers to try, in order, separated by commas.')
param workerSizes string = 'Standard_D2as_v5,Standard_D2s_v5'

@description('Image of workers: publisher:offer:sku:version.')
param workerImage string = 'Canonical:ubuntu-24_04-lts:server:latest'

@description('How workers of the home region reach the app and storage. natGateway costs money while it exists.')
@allowed(['serviceEndpoints', 'natGateway'])
param workerOutbound string = 'serviceEndpoints'

@description('Redundancy of the repository.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param repositorySku string = 'Standard_ZRS'

@description('Days for which deleted repository objects can be brought back. 0: deleted is deleted.')
@minValue(0)
@maxValue(365)
param repositorySoftDeleteDays int = 7

@description('Days for which a restore point cannot be removed, by anybody. Decided once, when the containers are made; 0: they keep no versions.')
param immutabilityDays string = '0'

@description('Instances that always wait for orchestrations, so that a backup starts without a cold start. They cost money.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

var abbreviations = loadJsonContent('./abbreviations.json')
var resourceToken = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'holdfast-installation': resourceToken }
// What the app calls the network of a region; it makes one only where none of this name is (lib/azure/workerNetwork.ts).
var networkPrefix = 'hf-${resourceToken}-${location}'

var homeId = subscription().subscriptionId
var protectedIds = empty(protectedSubscriptionIds) ? [homeId] : split(replace(protectedSubscriptionIds, ' ', ''), ',')
var restoreIds = empty(restoreSubscriptionIds) ? [] : split(replace(restoreSubscriptionIds, ' ', ''), ',')
var vhdAccountIds = empty(vhdStorageAccountIds) ? [] : split(replace(vhdStorageAccountIds, ' ', ''), ',')
var guestIds = empty(guestSubscriptionIds) ? [] : split(replace(guestSubscriptionIds, ' ', ''), ',')
var scopeIds = union([homeId], protectedIds, restoreIds, guestIds)

// The only group that azd is told of: it deploys the app there, and takes the others for somebody else's.
resource appGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: '${abbreviations.resourceGroup}${environmentName}'
  location: location
  tags: union(tags, { 'azd-env-name': environmentName })
}

resource repositoryGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: '${abbreviations.resourceGroup}${environmentName}-repository'
  location: location
  tags: tags
}

resource workerGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: '${abbreviations.resourceGroup}${environmentName}-workers'
  location: location
  tags: tags
}

module identity './security/identity.bicep' = {
  name: 'identity'
  scope: appGroup
  params: {
    name: '${abbreviations.managedIdentity}${resourceToken}'
    location: location
    tags: tags
  }
}

module workspace './monitoring/workspace.bicep' = {
  name: 'workspace'
  scope: appGroup
  params: {
    workspaceName: '${abbreviations.logAnalyticsWorkspace}${resourceToken}'
    componentName: '${abbreviations.applicationInsights}${resourceToken}'
    location: location
    tags: tags
  }
}

module appStorage './app/storage.bicep' = {
  name: 'appStorage'
  scope: appGroup
  params: {
    name: '${abbreviations.storageAccount}app${resourceToken}'
    location: location
    tags: tags
    sku: 'Standard_LRS'
    containers: ['deployment', 'staging', 'worker-packages']
  }
}

module repositoryStorage './app/storage.bicep' = {
  name: 'repositoryStorage'
  scope: repositoryGroup
  params: {
    name: '${abbreviations.storageAccount}repo${resourceToken}'
    location: location
    tags: tags
    sku: repositorySku
    containers: ['holdfast-meta', 'holdfast-data']
    softDeleteDays: repositorySoftDeleteDays
    immutableVersions: int(immutabilityDays) > 0
    lock: true
  }
}

module keyVault './security/keyVault.bicep' = {
  name: 'keyVault'
  scope: repositoryGroup
  params: {
    name: '${abbreviations.keyVault}${resourceToken}'
    location: location
    tags: tags
    workspaceId: workspace.outputs.workspaceId
  }
}

module network './app/network.bicep' = {
  name: 'network'
  scope: workerGroup
  params: {
    virtualNetworkName: '${networkPrefix}-vnet'
    securityGroupName: '${networkPrefix}-nsg'
    natGatewayName: '${networkPrefix}-nat'
    publicIpName: '${networkPrefix}-nat-ip'
    outbound: workerOutbound
    location: location
    tags: tags
  }
}

module roleDefinitions './security/roleDefinitions.bicep' = {
  name: 'holdfast-roles-${resourceToken}'
  params: {
    installationId: resourceToken
    scopeIds: scopeIds
  }
}

module appAccess './security/roleAssignments.bicep' = {
  name: 'appAccess'
  scope: appGroup
  params: {
    principalId: identity.outputs.principalId
    operatorId: operatorId
    operatorType: operatorType
    storageName: appStorage.outputs.name
    packageContainer: 'worker-packages'
    componentName: workspace.outputs.componentName
  }
}

module repositoryAccess './security/repositoryAccess.bicep' = {
  name: 'repositoryAccess'
  scope: repositoryGroup
  params: {
    principalId: identity.outputs.principalId
    operatorId: operatorId
    operatorType: operatorType
    storageName: repositoryStorage.outputs.name
    containers: ['holdfast-meta', 'holdfast-data']
    immutableVersions: int(immutabilityDays) > 0
    keyVaultName: keyVault.outputs.name
  }
}

module workerAccess './security/groupRole.bicep' = {
  name: 'workerAccess'
  scope: workerGroup
  params: {
    principalId: identity.outputs.principalId
    roleName: roleDefinitions.outputs.workerName
  }
}

module placementAccess './security/subscriptionRole.bicep' = {
  name: 'holdfast-placement-${resourceToken}'
  params: {
    principalId: identity.outputs.principalId
    roleName: roleDefinitions.outputs.placementName
  }
}

module protectAccess './security/subscriptionRole.bicep' = [
  for id in protectedIds: {
    name: 'holdfast-protect-${resourceToken}'
    scope: subscription(id)
    params: {
      principalId: identity.outputs.principalId
      roleName: roleDefinitions.outputs.protectName
    }
  }
]

module vhdAccess './security/vhdAccess.bicep' = [
  for id in vhdAccountIds: {
    name: 'holdfast-vhds-${resourceToken}-${last(split(id, '/'))}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      roleName: roleDefinitions.outputs.unmanagedDisksName
      storageName: last(split(id, '/'))
    }
  }
]

module restoreAccess './security/subscriptionRole.bicep' = [
  for id in restoreIds: {
    name: 'holdfast-restore-${resourceToken}'
    scope: subscription(id)
    params: {
      principalId: identity.outputs.principalId
      roleName: roleDefinitions.outputs.restoreName
    }
  }
]

module guestAccess './security/subscriptionRole.bicep' = [
  for id in guestIds: {
    name: 'holdfast-guest-${resourceToken}'
    scope: subscription(id)
    params: {
      principalId: identity.outputs.principalId
      roleName: roleDefinitions.outputs.guestName
    }
  }
]

module function './app/function.bicep' = {
  name: 'function'
  scope: appGroup
  params: {
    name: '${abbreviations.functionApp}${resourceToken}'
    planName: '${abbreviations.appServicePlan}${resourceToken}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: appStorage.outputs.name
    deploymentContainer: 'deployment'
    stagingContainer: 'staging'
    packageContainer: 'worker-packages'
    componentName: workspace.outputs.componentName
    alwaysReadyInstances: alwaysReadyInstances
    installationId: resourceToken
    protectedSubscriptionIds: join(protectedIds, ',')
    repositoryEndpoint: repositoryStorage.outputs.blobEndpoint
    metaContainer: 'holdfast-meta'
    dataContainer: 'holdfast-data'
    immutabilityDays: immutabilityDays
    keyVaultUrl: keyVault.outputs.url
    passwordSecret: 'holdfast-repository-password'
    installationKeySecret: 'holdfast-installation-key'
    workerSubscriptionId: homeId
    workerResourceGroup: workerGroup.name
    workerSizes: workerSizes
    workerImage: workerImage
    workerAudience: workerAudience
  }
  // The first start of the app already reads its storage and its secrets.
  dependsOn: [appAccess, repositoryAccess]
}

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = appGroup.name
output HOLDFAST_INSTALLATION_ID string = resourceToken
output HOLDFAST_APP_NAME string = function.outputs.name
output HOLDFAST_APP_URL string = function.outputs.url
output HOLDFAST_BLOB_ENDPOINT string = appStorage.outputs.blobEndpoint
output HOLDFAST_PACKAGE_CONTAINER string = 'worker-packages'
output HOLDFAST_REPOSITORY_ENDPOINT string = repositoryStorage.outputs.blobEndpoint
output HOLDFAST_REPOSITORY_RESOURCE_GROUP string = repositoryGroup.name
output HOLDFAST_WORKER_RESOURCE_GROUP string = workerGroup.name
output HOLDFAST_KEY_VAULT_NAME string = keyVault.outputs.name
output HOLDFAST_PRINCIPAL_ID string = identity.outputs.principalId
