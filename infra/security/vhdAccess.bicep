// Assigns the role for unmanaged disks to the app on one storage account that is somebody else's: it is named, never changed.
param principalId string

@description('Name (a GUID) of the role definition.')
param roleName string

@description('Storage account with the VHDs of unmanaged disks, in the resource group that the module is scoped to.')
param storageName string

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, principalId, roleName)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
    conditionVersion: '2.0'
    condition: '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete\'})) OR (Exists @Request[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:snapshot]))'
  }
}
