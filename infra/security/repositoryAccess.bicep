// Who may use the repository: the app its two containers and its secrets (to read), the operator the secrets (to write).
// Workers have no role: they get a signature of an hour for the data container from the app, which may not delete.
param principalId string
param operatorId string
param operatorType string
param storageName string
param containers string[]
param keyVaultName string

@description('Whether the containers keep versions that can be locked: setting a lock, and removing a version, are rights of owners.')
param immutableVersions bool = false

var roles = {
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  // Signing for workers needs a key of the account's blob service; this gives that and no data.
  'Storage Blob Delegator': 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a'
  'Key Vault Secrets User': '4633458b-17de-408a-874b-0445c86b69e6'
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
}

var appRole = immutableVersions ? roles['Storage Blob Data Owner'] : roles['Storage Blob Data Contributor']

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName

  resource blobService 'blobServices' existing = {
    name: 'default'
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' existing = [
  for containerName in containers: {
    parent: storage::blobService
    name: containerName
  }
]

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: keyVaultName
}

resource appOnContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (containerName, index) in containers: {
    scope: container[index]
    name: guid(storage.id, containerName, principalId, appRole)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', appRole)
    }
  }
]

resource appSignsForWorkers 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, principalId, roles['Storage Blob Delegator'])
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Storage Blob Delegator'])
  }
}

resource appReadsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, principalId, roles['Key Vault Secrets User'])
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Key Vault Secrets User'])
  }
}

resource operatorWritesSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, operatorId, roles['Key Vault Secrets Officer'])
  properties: {
    principalId: operatorId
    principalType: operatorType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Key Vault Secrets Officer'])
  }
}
