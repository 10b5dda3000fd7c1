/** Start, stop, deallocate and restart. The guest dies before the operation ends, and boots when a start has ended. */
import { ArmError, notAllowed } from '../errors.ts';
import type { OperationOutcome } from '../operations.ts';
import type { ArmReply, ArmRequest } from './app.ts';
import { refuseGranted } from './disks.ts';
import { allDisks, type MachineRecord, type PowerState } from './machineRecords.ts';
import { fail, type MachineServices } from './machineServices.ts';

const GROUP = '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Compute/virtualMachines';

const STEADY = new Set<PowerState>(['running', 'stopped', 'deallocated']);

export function powerRoutes(services: MachineServices, find: (request: ArmRequest) => MachineRecord): void {
  const { app, machines, guests, sizes, disks } = services;
  const { operations } = app.core;

  const ends = (name: string, power: PowerState) =>
    operations.register(
      name,
      (operation) => {
        const machine = machines.get(operation.target);
        if (!machine || machine.provisioningState === 'Deleting') return;
        if (operation.outcome.status === 'Succeeded') {
          machine.provisioningState = 'Succeeded';
          delete machine.failure;
          machine.power = power;
        } else {
          fail(machine, operation.outcome.error);
          machine.power = machine.powerBefore ?? 'stopped';
        }
        machines.save(machine);
        if (machine.power === 'running') guests.boot(machine);
      },
      undefined,
      (operation) => !guests.isStopping(operation.target),
    );
  ends('machine.started', 'running');
  ends('machine.stopped', 'stopped');
  ends('machine.deallocated', 'deallocated');

  const begin = (
    request: ArmRequest,
    finisher: string,
    transient: PowerState,
    outcome?: OperationOutcome,
  ): ArmReply => {
    const machine = find(request);
    if (machine.provisioningState === 'Deleting') throw notAllowed(`VM '${machine.name}' is being deleted.`);
    const order = {
      service: 'compute',
      location: machine.location,
      target: machine.id,
      finisher,
      ...(outcome ? { outcome } : {}),
    } as const;
    const { record, reply } = app.startOperation(request, order, { status: 202, monitor: true });
    if (STEADY.has(machine.power)) machine.powerBefore = machine.power;
    machine.power = transient;
    machine.provisioningState = 'Updating';
    machines.save(machine);
    if (record.outcome.status === 'Succeeded' && transient !== 'starting') guests.stop(machine.id);
    return reply;
  };
  const route = (verb: string, handle: (request: ArmRequest) => ArmReply) =>
    app.route(
      'POST',
      `${GROUP}/{name}/${verb}`,
      { action: `Microsoft.Compute/virtualMachines/${verb}/action`, throttle: 'putVirtualMachine' },
      handle,
    );

  route('start', (request) => {
    const machine = find(request);
    for (const attached of allDisks(machine)) {
      const disk = disks.disks.get(attached.diskId);
      if (disk) refuseGranted(disks, disk);
    }
    const needsRoom = machine.power === 'deallocated' || machine.power === 'deallocating';
    const error = needsRoom
      ? sizes.requireAvailable(machine.location, machine.size, machine.zones?.[0])
      : undefined;
    return begin(request, 'machine.started', 'starting', error && { status: 'Failed', error });
  });
  route('deallocate', (request) => {
    const machine = find(request);
    if (machine.osDisk.ephemeral) {
      throw new ArmError(
        409,
        'OperationNotAllowed',
        `Operation 'deallocate' is not supported for VM '${machine.name}': its OS disk is ephemeral.`,
      );
    }
    return begin(request, 'machine.deallocated', 'deallocating');
  });
  route('powerOff', (request) => begin(request, 'machine.stopped', 'stopping'));
  route('restart', (request) => begin(request, 'machine.started', 'stopping'));
}
