// A storage account that knows no keys: Entra identities only.
param name string
param location string
param tags object

@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param sku string

@description('Blob containers to create.')
param containers string[]

@description('Days for which deleted blobs and containers can be brought back; 0 switches it off.')
param softDeleteDays int = 0

@description('Whether containers keep versions that can be locked. Azure takes this when a container is made, and never takes it back.')
param immutableVersions bool = false

@description('Whether the account can be deleted only after its lock was removed by hand.')
param lock bool = false

var retention = softDeleteDays > 0 ? { enabled: true, days: softDeleteDays } : { enabled: false }

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: retention
    containerDeleteRetentionPolicy: retention
    isVersioningEnabled: immutableVersions
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for containerName in containers: {
    parent: blobService
    name: containerName
    properties: {
      publicAccess: 'None'
      immutableStorageWithVersioning: immutableVersions ? { enabled: true } : null
    }
  }
]

resource deletionLock 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  scope: account
  name: 'holdfast-repository'
  properties: {
    level: 'CanNotDelete'
    notes: 'Holds the backups. Remove this lock only if they may be lost.'
  }
}

output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
