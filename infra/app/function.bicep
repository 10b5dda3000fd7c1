// The app: Azure Functions on Flex Consumption, with an identity and without secrets.
param name string
param planName string
param location string
param tags object
param identityId string
param identityClientId string
param storageName string
param deploymentContainer string
param stagingContainer string
param packageContainer string
param componentName string
param alwaysReadyInstances int
param installationId string
param protectedSubscriptionIds string
param repositoryEndpoint string
param metaContainer string
param dataContainer string
param immutabilityDays string
param keyVaultUrl string

@description('Name of the secret, not its value.')
#disable-next-line secure-secrets-in-params
param passwordSecret string

@description('Name of the secret, not its value.')
#disable-next-line secure-secrets-in-params
param installationKeySecret string

param workerSubscriptionId string
param workerResourceGroup string
param workerSizes string
param workerImage string
param workerAudience string

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        alwaysReady: alwaysReadyInstances > 0 ? [{ name: 'durable', instanceCount: alwaysReadyInstances }] : []
      }
      runtime: { name: 'node', version: '24' }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      minTlsVersion: '1.2'
    }
  }
}

// No user name and password for deployment: Entra only.
resource ftpCredentials 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource scmCredentials 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

// A resource of its own, because the app's address is known only once the site exists.
resource appSettings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: site
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    APPLICATIONINSIGHTS_CONNECTION_STRING: component.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    OTEL_TRACES_SAMPLER: 'parentbased_always_on'
    HOLDFAST_INSTALLATION_ID: installationId
    HOLDFAST_SUBSCRIPTION_IDS: protectedSubscriptionIds
    HOLDFAST_LOCATION: location
    HOLDFAST_TENANT_ID: tenant().tenantId
    HOLDFAST_CLIENT_ID: identityClientId
    HOLDFAST_TABLE_ENDPOINT: storage.properties.primaryEndpoints.table
    HOLDFAST_BLOB_ENDPOINT: storage.properties.primaryEndpoints.blob
    HOLDFAST_STAGING_CONTAINER: stagingContainer
    HOLDFAST_PACKAGE_CONTAINER: packageContainer
    HOLDFAST_REPOSITORY_ENDPOINT: repositoryEndpoint
    HOLDFAST_META_CONTAINER: metaContainer
    HOLDFAST_DATA_CONTAINER: dataContainer
    HOLDFAST_IMMUTABILITY_DAYS: immutabilityDays
    HOLDFAST_KEY_VAULT_URL: keyVaultUrl
    HOLDFAST_PASSWORD_SECRET: passwordSecret
    HOLDFAST_INSTALLATION_KEY_SECRET: installationKeySecret
    HOLDFAST_WORKER_SUBSCRIPTION_ID: workerSubscriptionId
    HOLDFAST_WORKER_RESOURCE_GROUP: workerResourceGroup
    HOLDFAST_WORKER_SIZES: workerSizes
    HOLDFAST_WORKER_IMAGE: workerImage
    HOLDFAST_WORKER_AUDIENCE: workerAudience
    HOLDFAST_APP_URL: 'https://${site.properties.defaultHostName}'
    HOLDFAST_TASK_HUB: 'Holdfast'
  }
}

output name string = site.name
output url string = 'https://${site.properties.defaultHostName}'
