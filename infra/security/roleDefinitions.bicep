// The custom roles of one installation, each with what its part of the work calls and nothing else. None can list keys,
// assign roles, or touch a VM that it protects; but guest, which runs the scripts of policies in guests and is assigned only when
// asked for.
targetScope = 'subscription'

@description('Makes the names unique: role names are unique in a tenant.')
param installationId string

@description('Ids of all subscriptions in which a role may be assigned.')
param scopeIds string[]

var assignableScopes = [for id in scopeIds: '/subscriptions/${id}']

// Where machines are protected: reads them, makes and reads snapshots. Reading a source disk's content needs
// disks/beginGetAccess: creating a snapshot checks it on the disk.
resource protect 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installationId, 'holdfast-protect')
  properties: {
    roleName: 'Holdfast Protect (${installationId})'
    description: 'Reads machines and their disks, and makes, reads and removes snapshots and restore points of them.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: [
          'Microsoft.Resources/subscriptions/read'
          'Microsoft.Resources/subscriptions/resourceGroups/read'
          'Microsoft.Compute/virtualMachines/read'
          'Microsoft.Compute/virtualMachines/instanceView/read'
          'Microsoft.Compute/virtualMachines/extensions/read'
          'Microsoft.Compute/disks/read'
          'Microsoft.Compute/disks/beginGetAccess/action'
          'Microsoft.Compute/diskEncryptionSets/read'
          'Microsoft.Compute/diskAccesses/read'
          'Microsoft.Compute/availabilitySets/read'
          'Microsoft.Compute/proximityPlacementGroups/read'
          'Microsoft.Compute/skus/read'
          'Microsoft.Compute/locations/*/read'
          'Microsoft.Compute/snapshots/read'
          'Microsoft.Compute/snapshots/write'
          'Microsoft.Compute/snapshots/delete'
          'Microsoft.Compute/snapshots/beginGetAccess/action'
          'Microsoft.Compute/snapshots/endGetAccess/action'
          'Microsoft.Compute/restorePointCollections/read'
          'Microsoft.Compute/restorePointCollections/write'
          'Microsoft.Compute/restorePointCollections/delete'
          'Microsoft.Compute/restorePointCollections/restorePoints/read'
          'Microsoft.Compute/restorePointCollections/restorePoints/write'
          'Microsoft.Compute/restorePointCollections/restorePoints/delete'
          'Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints/read'
          'Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints/beginGetAccess/action'
          'Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints/endGetAccess/action'
          'Microsoft.Network/networkInterfaces/read'
          'Microsoft.Network/virtualNetworks/read'
          'Microsoft.Network/virtualNetworks/subnets/read'
          'Microsoft.Network/publicIPAddresses/read'
          'Microsoft.Network/networkSecurityGroups/read'
          'Microsoft.Resources/tags/read'
          'Microsoft.Resources/tags/write'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

// In the resource group of the workers only: VMs, their disks and interfaces, and the networks of other regions.
resource worker 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installationId, 'holdfast-worker')
  properties: {
    roleName: 'Holdfast Worker (${installationId})'
    description: 'Makes, starts, stops and removes worker VMs and their networks.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: [
          'Microsoft.Resources/subscriptions/resourceGroups/read'
          'Microsoft.Compute/virtualMachines/read'
          'Microsoft.Compute/virtualMachines/write'
          'Microsoft.Compute/virtualMachines/delete'
          'Microsoft.Compute/virtualMachines/start/action'
          'Microsoft.Compute/virtualMachines/deallocate/action'
          'Microsoft.Compute/virtualMachines/instanceView/read'
          'Microsoft.Compute/disks/read'
          'Microsoft.Compute/disks/write'
          'Microsoft.Compute/disks/delete'
          'Microsoft.Compute/skus/read'
          'Microsoft.Compute/locations/*/read'
          'Microsoft.Network/networkInterfaces/read'
          'Microsoft.Network/networkInterfaces/write'
          'Microsoft.Network/networkInterfaces/delete'
          'Microsoft.Network/networkInterfaces/join/action'
          'Microsoft.Network/virtualNetworks/read'
          'Microsoft.Network/virtualNetworks/write'
          'Microsoft.Network/virtualNetworks/subnets/read'
          'Microsoft.Network/virtualNetworks/subnets/write'
          'Microsoft.Network/virtualNetworks/subnets/join/action'
          'Microsoft.Network/networkSecurityGroups/read'
          'Microsoft.Network/networkSecurityGroups/write'
          'Microsoft.Network/networkSecurityGroups/join/action'
          'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

// In the subscription of the workers: what can be launched where, and how a launch is going. Reads only; these paths lie
// above any resource group.
resource placement 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installationId, 'holdfast-placement')
  properties: {
    roleName: 'Holdfast Placement (${installationId})'
    description: 'Reads VM sizes, quotas and running operations of the subscription that workers live in.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: [
          'Microsoft.Resources/subscriptions/read'
          'Microsoft.Compute/skus/read'
          'Microsoft.Compute/locations/*/read'
          'Microsoft.Network/locations/*/read'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

// Where disks and machines are restored to. Assigned nowhere unless restoreSubscriptionIds says so.
resource restore 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installationId, 'holdfast-restore')
  properties: {
    roleName: 'Holdfast Restore (${installationId})'
    description: 'Makes disks from restore points, and machines from disks.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: [
          'Microsoft.Resources/subscriptions/resourceGroups/read'
          'Microsoft.Compute/disks/read'
          'Microsoft.Compute/disks/write'
          'Microsoft.Compute/disks/delete'
          'Microsoft.Compute/disks/beginGetAccess/action'
          'Microsoft.Compute/disks/endGetAccess/action'
          'Microsoft.Compute/snapshots/read'
          'Microsoft.Compute/snapshots/beginGetAccess/action'
          'Microsoft.Compute/virtualMachines/read'
          'Microsoft.Compute/virtualMachines/write'
          'Microsoft.Compute/virtualMachines/instanceView/read'
          'Microsoft.Compute/virtualMachines/extensions/write'
          'Microsoft.Compute/virtualMachines/deallocate/action'
          'Microsoft.Compute/virtualMachines/start/action'
          'Microsoft.Compute/availabilitySets/read'
          'Microsoft.Compute/diskEncryptionSets/read'
          'Microsoft.Compute/skus/read'
          'Microsoft.Compute/locations/*/read'
          'Microsoft.Network/networkInterfaces/read'
          'Microsoft.Network/networkInterfaces/write'
          'Microsoft.Network/networkInterfaces/join/action'
          'Microsoft.Network/virtualNetworks/read'
          'Microsoft.Network/virtualNetworks/subnets/read'
          'Microsoft.Network/virtualNetworks/subnets/join/action'
          'Microsoft.Network/networkSecurityGroups/read'
          'Microsoft.Network/networkSecurityGroups/join/action'
          'Microsoft.Network/publicIPAddresses/read'
          'Microsoft.Network/publicIPAddresses/write'
          'Microsoft.Network/publicIPAddresses/join/action'
          'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action'
          'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read'
          'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/write'
          'Microsoft.Resources/tags/read'
          'Microsoft.Resources/tags/write'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

// On the storage accounts that unmanaged disks are in: reads their page blobs, and makes and removes snapshots beside them.
// Assigned with a condition (vhdAccess.bicep): what it deletes is a snapshot, never a blob. Adding a blob comes with making
// snapshots; overwriting one does not.
resource unmanagedDisks 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installationId, 'holdfast-unmanaged-disks')
  properties: {
    roleName: 'Holdfast Unmanaged Disks (${installationId})'
    description: 'Reads the page blobs of unmanaged disks, and makes and removes snapshots of them.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
        ]
        notDataActions: []
      }
    ]
  }
}

// Where policies run scripts in guests, as root. Assigned nowhere unless guestSubscriptionIds says so.
resource guest 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, installationId, 'holdfast-guest')
  properties: {
    roleName: 'Holdfast Guest (${installationId})'
    description: 'Runs the scripts of backup policies in the guests of machines.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: [
          'Microsoft.Compute/virtualMachines/runCommands/read'
          'Microsoft.Compute/virtualMachines/runCommands/write'
          'Microsoft.Compute/virtualMachines/runCommands/delete'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

output guestName string = guest.name
output protectName string = protect.name
output workerName string = worker.name
output placementName string = placement.name
output restoreName string = restore.name
output unmanagedDisksName string = unmanagedDisks.name
