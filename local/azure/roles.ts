/**
 * Who may do what where: role definitions (actions with wildcards, minus notActions), assignments of a principal at a scope, and the check.
 *
 * A scope covers what lies below it. A new assignment works at once here; on Azure it may take ten minutes.
 */
import { randomUUID } from 'node:crypto';
import { ArmError } from './errors.ts';
import { conditionHolds, type DataRequest, isKnownCondition } from './roleConditions.ts';
import type { Collection, StateStore } from './state.ts';
import type { Caller } from './tokens.ts';

export interface RoleDefinition {
  name: string;
  actions: string[];
  notActions?: string[];
  dataActions?: string[];
  notDataActions?: string[];
}

export interface RoleAssignment {
  id: string;
  principalId: string;
  /** `/subscriptions/…` at any depth, a management group, or `/` for everything. */
  scope: string;
  role: string;
  /** Of data actions: what a request must say besides. See roleConditions.ts. */
  condition?: string;
}

const READ_VM = [
  'Microsoft.Resources/subscriptions/read',
  'Microsoft.Resources/subscriptions/resourceGroups/read',
  'Microsoft.Compute/virtualMachines/read',
  'Microsoft.Compute/virtualMachines/instanceView/read',
  'Microsoft.Compute/virtualMachines/extensions/read',
  'Microsoft.Compute/disks/read',
  'Microsoft.Compute/disks/beginGetAccess/action',
  'Microsoft.Compute/diskEncryptionSets/read',
  'Microsoft.Compute/diskAccesses/read',
  'Microsoft.Compute/availabilitySets/read',
  'Microsoft.Compute/proximityPlacementGroups/read',
  'Microsoft.Compute/skus/read',
  'Microsoft.Compute/locations/*/read',
  'Microsoft.Network/networkInterfaces/read',
  'Microsoft.Network/virtualNetworks/read',
  'Microsoft.Network/virtualNetworks/subnets/read',
  'Microsoft.Network/publicIPAddresses/read',
  'Microsoft.Network/networkSecurityGroups/read',
  'Microsoft.Resources/tags/read',
  'Microsoft.Resources/tags/write',
];

const SNAPSHOTS = [
  'Microsoft.Compute/snapshots/read',
  'Microsoft.Compute/snapshots/write',
  'Microsoft.Compute/snapshots/delete',
  'Microsoft.Compute/snapshots/beginGetAccess/action',
  'Microsoft.Compute/snapshots/endGetAccess/action',
];

/** VM restore points: all disks at one moment. */
const RESTORE_POINTS = [
  'Microsoft.Compute/restorePointCollections/read',
  'Microsoft.Compute/restorePointCollections/write',
  'Microsoft.Compute/restorePointCollections/delete',
  'Microsoft.Compute/restorePointCollections/restorePoints/read',
  'Microsoft.Compute/restorePointCollections/restorePoints/write',
  'Microsoft.Compute/restorePointCollections/restorePoints/delete',
  'Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints/read',
  'Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints/beginGetAccess/action',
  'Microsoft.Compute/restorePointCollections/restorePoints/diskRestorePoints/endGetAccess/action',
];

/** The product's roles and the built-in ones that it is compared with. */
export const ROLE_DEFINITIONS: readonly RoleDefinition[] = [
  { name: 'Holdfast Protect', actions: [...READ_VM, ...SNAPSHOTS, ...RESTORE_POINTS] },
  {
    // Scripts in guests run as root: a role of its own, for those who use them.
    name: 'Holdfast Guest',
    actions: [
      'Microsoft.Compute/virtualMachines/runCommands/read',
      'Microsoft.Compute/virtualMachines/runCommands/write',
      'Microsoft.Compute/virtualMachines/runCommands/delete',
    ],
  },
  {
    name: 'Holdfast Worker',
    actions: [
      'Microsoft.Resources/subscriptions/resourceGroups/read',
      'Microsoft.Compute/virtualMachines/read',
      'Microsoft.Compute/virtualMachines/write',
      'Microsoft.Compute/virtualMachines/delete',
      'Microsoft.Compute/virtualMachines/start/action',
      'Microsoft.Compute/virtualMachines/deallocate/action',
      'Microsoft.Compute/virtualMachines/instanceView/read',
      'Microsoft.Compute/disks/read',
      'Microsoft.Compute/disks/write',
      'Microsoft.Compute/disks/delete',
      'Microsoft.Compute/skus/read',
      'Microsoft.Compute/locations/*/read',
      'Microsoft.Network/networkInterfaces/read',
      'Microsoft.Network/networkInterfaces/write',
      'Microsoft.Network/networkInterfaces/delete',
      'Microsoft.Network/networkInterfaces/join/action',
      'Microsoft.Network/virtualNetworks/read',
      'Microsoft.Network/virtualNetworks/write',
      'Microsoft.Network/virtualNetworks/subnets/read',
      'Microsoft.Network/virtualNetworks/subnets/write',
      'Microsoft.Network/virtualNetworks/subnets/join/action',
      'Microsoft.Network/networkSecurityGroups/read',
      'Microsoft.Network/networkSecurityGroups/write',
      'Microsoft.Network/networkSecurityGroups/join/action',
      'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
    ],
  },
  {
    name: 'Holdfast Restore',
    actions: [
      'Microsoft.Resources/subscriptions/resourceGroups/read',
      'Microsoft.Compute/disks/read',
      'Microsoft.Compute/disks/write',
      'Microsoft.Compute/disks/delete',
      'Microsoft.Compute/disks/beginGetAccess/action',
      'Microsoft.Compute/disks/endGetAccess/action',
      'Microsoft.Compute/snapshots/read',
      'Microsoft.Compute/snapshots/beginGetAccess/action',
      'Microsoft.Compute/virtualMachines/read',
      'Microsoft.Compute/virtualMachines/write',
      'Microsoft.Compute/virtualMachines/instanceView/read',
      'Microsoft.Compute/virtualMachines/extensions/write',
      'Microsoft.Compute/virtualMachines/deallocate/action',
      'Microsoft.Compute/virtualMachines/start/action',
      'Microsoft.Compute/availabilitySets/read',
      'Microsoft.Compute/diskEncryptionSets/read',
      'Microsoft.Compute/skus/read',
      'Microsoft.Compute/locations/*/read',
      'Microsoft.Network/networkInterfaces/read',
      'Microsoft.Network/networkInterfaces/write',
      'Microsoft.Network/networkInterfaces/join/action',
      'Microsoft.Network/virtualNetworks/read',
      'Microsoft.Network/virtualNetworks/subnets/read',
      'Microsoft.Network/virtualNetworks/subnets/join/action',
      'Microsoft.Network/networkSecurityGroups/read',
      'Microsoft.Network/networkSecurityGroups/join/action',
      'Microsoft.Network/publicIPAddresses/read',
      'Microsoft.Network/publicIPAddresses/write',
      'Microsoft.Network/publicIPAddresses/join/action',
      'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
      'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
      'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/write',
      'Microsoft.Resources/tags/read',
      'Microsoft.Resources/tags/write',
    ],
  },
  {
    // On a storage account with unmanaged disks; assigned with the condition that only snapshots may be deleted.
    name: 'Holdfast Unmanaged Disks',
    actions: ['Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action'],
    dataActions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read',
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action',
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete',
    ],
  },
  { name: 'Owner', actions: ['*'] },
  {
    name: 'Contributor',
    actions: ['*'],
    notActions: ['Microsoft.Authorization/*/Delete', 'Microsoft.Authorization/*/Write'],
  },
  { name: 'Reader', actions: ['*/read'] },
  {
    name: 'Tag Contributor',
    actions: ['Microsoft.Resources/tags/*', 'Microsoft.Resources/subscriptions/resourceGroups/read'],
  },
  {
    name: 'Data Operator for Managed Disks',
    actions: [],
    dataActions: [
      'Microsoft.Compute/snapshots/download/action',
      'Microsoft.Compute/disks/download/action',
      'Microsoft.Compute/disks/upload/action',
    ],
  },
  {
    name: 'Storage Blob Data Contributor',
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/*',
      'Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action',
    ],
    dataActions: ['Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*'],
  },
  {
    name: 'Key Vault Secrets User',
    actions: [],
    dataActions: [
      'Microsoft.KeyVault/vaults/secrets/getSecret/action',
      'Microsoft.KeyVault/vaults/secrets/readMetadata/action',
    ],
  },
  {
    name: 'Key Vault Secrets Officer',
    actions: ['Microsoft.KeyVault/vaults/read'],
    dataActions: ['Microsoft.KeyVault/vaults/secrets/*'],
  },
  {
    name: 'Key Vault Crypto Service Encryption User',
    actions: [],
    dataActions: [
      'Microsoft.KeyVault/vaults/keys/read',
      'Microsoft.KeyVault/vaults/keys/wrap/action',
      'Microsoft.KeyVault/vaults/keys/unwrap/action',
    ],
  },
  {
    name: 'Key Vault Crypto Officer',
    actions: ['Microsoft.KeyVault/vaults/read'],
    dataActions: ['Microsoft.KeyVault/vaults/keys/*', 'Microsoft.KeyVault/vaults/keyrotationpolicies/*'],
  },
];

const patterns = new Map<string, RegExp>();

function covers(wildcard: string, action: string): boolean {
  let pattern = patterns.get(wildcard);
  if (!pattern) {
    pattern = new RegExp(
      `^${wildcard.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '.*')}$`,
      'i',
    );
    patterns.set(wildcard, pattern);
  }
  return pattern.test(action);
}

function within(scope: string, target: string): boolean {
  const outer = scope.toLowerCase().replace(/\/+$/, '');
  const inner = target.toLowerCase();
  return inner === outer || inner.startsWith(`${outer}/`);
}

export class Roles {
  private readonly definitions: Collection<RoleDefinition>;
  private readonly assignments: Collection<RoleAssignment>;
  /** The management groups above a scope, as scopes. */
  private readonly above: (scope: string) => string[];

  constructor(state: StateStore, above: (scope: string) => string[] = () => []) {
    this.above = above;
    this.definitions = state.collection('roleDefinitions');
    this.assignments = state.collection('roleAssignments');
  }

  /** Adds or replaces a custom role. */
  define(role: RoleDefinition): void {
    this.definitions.set(role.name, role);
  }

  /** Idempotent. Throws when no role has this name, and for a condition that the simulator does not know. */
  assign(principalId: string, role: string, scope: string, condition?: string): RoleAssignment {
    if (!this.definition(role)) throw new Error(`No role is named '${role}'.`);
    if (condition !== undefined && !isKnownCondition(condition))
      throw new Error(`The simulator does not know the condition ${condition}.`);
    const same = this.assignments
      .values()
      .find(
        (known) =>
          known.principalId === principalId &&
          known.role === role &&
          known.scope.toLowerCase() === scope.toLowerCase(),
      );
    if (same) return same;
    const id = randomUUID();
    return this.assignments.set(id, {
      id,
      principalId,
      role,
      scope,
      ...(condition === undefined ? {} : { condition }),
    });
  }

  /** Removes the assignments that match; answers how many there were. */
  unassign(match: { principalId: string; role?: string; scope?: string }): number {
    const gone = this.assignments.filter(
      (known) =>
        known.principalId === match.principalId &&
        (match.role === undefined || known.role === match.role) &&
        (match.scope === undefined || known.scope.toLowerCase() === match.scope.toLowerCase()),
    );
    for (const assignment of gone) this.assignments.delete(assignment.id);
    return gone.length;
  }

  list(principalId?: string): RoleAssignment[] {
    return this.assignments.filter((known) => principalId === undefined || known.principalId === principalId);
  }

  allows(principalId: string, action: string, scope: string): boolean {
    return this.some(principalId, scope, (role) => included(role.actions, role.notActions, action));
  }

  allowsData(
    principalId: string,
    action: string,
    scope: string,
    request: DataRequest = { snapshot: false },
  ): boolean {
    return this.some(
      principalId,
      scope,
      (role, { condition }) =>
        included(role.dataActions, role.notDataActions, action) &&
        (condition === undefined || conditionHolds(condition, action, request)),
    );
  }

  /** True when the principal has any role at or below the scope: lists are filtered for it instead of refused. */
  hasFootIn(principalId: string, scope: string): boolean {
    return this.assignments
      .values()
      .some(
        (known) =>
          known.principalId === principalId &&
          (within(scope, known.scope) || this.covers(known.scope, scope)),
      );
  }

  /** Throws 403 AuthorizationFailed. */
  require(caller: Caller, action: string, scope: string): void {
    if (this.allows(caller.objectId, action, scope)) return;
    throw new ArmError(
      403,
      'AuthorizationFailed',
      `The client '${caller.clientId}' with object id '${caller.objectId}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
      { headers: { 'x-ms-failure-cause': 'gateway' } },
    );
  }

  /** Throws 403 LinkedAuthorizationFailed: `action` on `scope` is allowed, but what it links to needs more. */
  requireLinked(
    caller: Caller,
    action: string,
    scope: string,
    linked: { action: string; scope: string },
  ): void {
    if (this.allows(caller.objectId, linked.action, linked.scope)) return;
    throw new ArmError(
      403,
      'LinkedAuthorizationFailed',
      `The client '${caller.clientId}' with object id '${caller.objectId}' has permission to perform action '${action}' on scope '${scope}'; however, it does not have permission to perform action(s) '${linked.action}' on the linked scope(s) '${linked.scope}' (respectively) or the linked scope(s) are invalid.`,
      { headers: { 'x-ms-failure-cause': 'gateway' } },
    );
  }

  private covers(outer: string, scope: string): boolean {
    return within(outer, scope) || this.above(scope).some((above) => within(outer, above));
  }

  private definition(name: string): RoleDefinition | undefined {
    return this.definitions.get(name) ?? ROLE_DEFINITIONS.find((role) => role.name === name);
  }

  private some(
    principalId: string,
    scope: string,
    grants: (role: RoleDefinition, assignment: RoleAssignment) => boolean,
  ): boolean {
    return this.assignments.values().some((assignment) => {
      if (assignment.principalId !== principalId || !this.covers(assignment.scope, scope)) return false;
      const role = this.definition(assignment.role);
      return role !== undefined && grants(role, assignment);
    });
  }
}

function included(actions: string[] | undefined, notActions: string[] | undefined, action: string): boolean {
  return (
    (actions ?? []).some((wildcard) => covers(wildcard, action)) &&
    !(notActions ?? []).some((wildcard) => covers(wildcard, action))
  );
}
