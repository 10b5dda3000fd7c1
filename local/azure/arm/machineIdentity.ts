/** Identities of machines: the system-assigned one is a principal of the machine's own; user-assigned ones exist before. */
import { ArmError } from '../errors.ts';
import type { ArmRequest } from './app.ts';
import type { MachineRecord } from './machineRecords.ts';
import type { MachineServices } from './machineServices.ts';

export function assignIdentity(
  { app, tokens }: Pick<MachineServices, 'app' | 'tokens'>,
  request: Pick<ArmRequest, 'caller'>,
  machine: MachineRecord,
  given: { type: string; userAssignedIdentities?: Record<string, unknown> | undefined },
): void {
  const wanted = given.type.split(',').map((type) => type.trim().toLowerCase());
  const userAssigned: Record<string, { principalId: string; clientId: string }> = {};
  for (const id of wanted.includes('userassigned') ? Object.keys(given.userAssignedIdentities ?? {}) : []) {
    app.core.roles.requireLinked(request.caller, 'Microsoft.Compute/virtualMachines/write', machine.id, {
      action: 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
      scope: id,
    });
    const principal = tokens.principals
      .values()
      .find((known) => known.kind === 'userAssigned' && known.resourceId?.toLowerCase() === id.toLowerCase());
    if (!principal)
      throw new ArmError(
        400,
        'FailedIdentityOperation',
        `Identity operation for resource '${machine.id}' failed: the user-assigned identity '${id}' was not found.`,
      );
    userAssigned[id] = { principalId: principal.objectId, clientId: principal.clientId };
  }
  const before = machine.identity?.principalId;
  const system = wanted.includes('systemassigned')
    ? (before ??
      tokens.addPrincipal({ name: machine.name, kind: 'virtualMachine', resourceId: machine.id }).objectId)
    : undefined;
  if (before !== undefined && system === undefined) {
    tokens.principals.delete(before);
    app.core.roles.unassign({ principalId: before });
  }
  if (system === undefined && Object.keys(userAssigned).length === 0) {
    delete machine.identity;
    return;
  }
  machine.identity = {
    type: given.type,
    ...(system === undefined ? {} : { principalId: system }),
    ...(Object.keys(userAssigned).length === 0 ? {} : { userAssigned }),
  };
}
