// Holds the repository's password and the key that seals machine configurations in snapshot tags. Whoever deploys writes
// them (docs/deploy.md); no template ever sees them. Without the password the repository cannot be read: purge protection
// keeps a deleted vault recoverable for 90 days, and nobody can shorten that.
param name string
param location string
param tags object

@description('Log Analytics workspace for the audit log: who read which secret when.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: 'Enabled'
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

output name string = vault.name
output url string = vault.properties.vaultUri
