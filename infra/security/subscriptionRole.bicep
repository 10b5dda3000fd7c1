// Assigns one of our custom roles to the app in the subscription that the module is scoped to.
targetScope = 'subscription'

param principalId string

@description('Name (a GUID) of the role definition.')
param roleName string

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, roleName)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
