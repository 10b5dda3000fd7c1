/** Virtual machines: routes, and what an operation's end does to them. Creation, change and power are in files of their own. */
import { ArmError } from '../errors.ts';
import type { ArmReply, ArmRequest } from './app.ts';
import { checkName, parseBody } from './body.ts';
import { resourceId } from './ids.ts';
import { machineBody, machinePatch } from './machineBodies.ts';
import { changeMachine } from './machineChange.ts';
import { createMachine } from './machineCreate.ts';
import { powerRoutes } from './machinePower.ts';
import { MACHINES, type MachineRecord } from './machineRecords.ts';
import { fail, type MachineServices, removeMachine } from './machineServices.ts';
import { instanceView, machineView } from './machineViews.ts';
import { checkTags } from './tags.ts';

const GROUP = '/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.Compute/virtualMachines';

export function machineRoutes(services: MachineServices): void {
  const { app, machines, disks, tokens, clock, limits, guests } = services;
  const { operations } = app.core;
  const find = (request: ArmRequest) =>
    machines.require(request.params.s as string, request.params.g as string, request.params.name as string);
  const view = (machine: MachineRecord, request?: ArmRequest) => {
    const expand = request?.query.get('$expand')?.toLowerCase() ?? '';
    const statusOnly = request?.query.get('statusOnly')?.toLowerCase() === 'true';
    return machineView(machine, disks, tokens.tenantId, clock, {
      instanceView: expand.includes('instanceview') || statusOnly,
      userData: expand.includes('userdata'),
      base: app.core.base(),
    });
  };

  operations.register('machine.created', (operation) => {
    const machine = machines.get(operation.target);
    if (!machine) return;
    if (operation.outcome.status === 'Succeeded') {
      machine.provisioningState = 'Succeeded';
      machine.power = 'running';
      machines.save(machine);
      guests.boot(machine);
      return;
    }
    fail(machine, operation.outcome.error);
    machine.power = 'stopped';
    machines.save(machine);
  });
  operations.register('machine.updated', (operation) => {
    const machine = machines.get(operation.target);
    if (!machine) return;
    if (operation.outcome.status === 'Succeeded') machine.provisioningState = 'Succeeded';
    else fail(machine, operation.outcome.error);
    machines.save(machine);
  });
  operations.register(
    'machine.deleted',
    (operation) => {
      const machine = machines.get(operation.target);
      if (!machine) return;
      if (operation.outcome.status === 'Succeeded') return removeMachine(services, machine);
      fail(machine, operation.outcome.error);
      machines.save(machine);
    },
    undefined,
    (operation) => !guests.isStopping(operation.target),
  );

  const read = { action: 'Microsoft.Compute/virtualMachines/read' } as const;
  const listed = (request: ArmRequest) =>
    app.listReply(
      request,
      read.action,
      machines.list(request.params.s as string, request.params.g).map((machine) => view(machine, request)),
    );
  app.route(
    'GET',
    '/subscriptions/{s}/providers/Microsoft.Compute/virtualMachines',
    { ...read, list: true },
    listed,
  );
  app.route('GET', GROUP, { ...read, list: true }, listed);
  app.route('GET', `${GROUP}/{name}`, read, (request) => ({
    status: 200,
    body: view(find(request), request),
  }));
  app.route(
    'GET',
    `${GROUP}/{name}/instanceView`,
    { action: 'Microsoft.Compute/virtualMachines/instanceView/read' },
    (request) => ({
      status: 200,
      body: instanceView(find(request), clock),
    }),
  );
  app.route(
    'GET',
    `${GROUP}/{name}/extensions`,
    { action: 'Microsoft.Compute/virtualMachines/extensions/read' },
    (request) => {
      find(request);
      return { status: 200, body: { value: [] } };
    },
  );

  const write = { action: 'Microsoft.Compute/virtualMachines/write', throttle: 'putVirtualMachine' } as const;
  const compute = (machine: MachineRecord, finisher: string) =>
    ({ service: 'compute', location: machine.location, target: machine.id, finisher }) as const;
  app.route('PUT', `${GROUP}/{name}`, write, async (request): Promise<ArmReply> => {
    const { s, g, name } = request.params as { s: string; g: string; name: string };
    checkName(name, 'vmName');
    const body = parseBody(machineBody, request.body);
    checkTags(body.tags, limits.tags);
    const known = machines.get(resourceId(s, g, MACHINES, name));
    if (known && request.ifNoneMatch === '*') {
      throw new ArmError(412, 'PreconditionFailed', `The VM '${name}' exists and If-None-Match was '*'.`);
    }
    if (known) {
      await changeMachine(services, request, known, { ...body, tags: body.tags ?? {} });
      return app.startOperation(request, compute(known, 'machine.updated'), {
        status: 200,
        monitor: false,
        body: view(known),
      }).reply;
    }
    const { machine, failure } = await createMachine(services, request, { s, g, name }, body);
    const order = {
      ...compute(machine, 'machine.created'),
      ...(failure ? { outcome: { status: 'Failed', error: failure } as const } : {}),
    };
    return app.startOperation(request, order, { status: 201, monitor: false, body: view(machine) }).reply;
  });
  app.route('PATCH', `${GROUP}/{name}`, write, async (request) => {
    const body = parseBody(machinePatch, request.body);
    checkTags(body.tags, limits.tags);
    const machine = find(request);
    await changeMachine(services, request, machine, body);
    return app.startOperation(request, compute(machine, 'machine.updated'), {
      status: 200,
      monitor: false,
      body: view(machine),
    }).reply;
  });
  app.route(
    'DELETE',
    `${GROUP}/{name}`,
    { action: 'Microsoft.Compute/virtualMachines/delete', throttle: 'putVirtualMachine' },
    (request) => {
      const machine = machines.get(
        resourceId(
          request.params.s as string,
          request.params.g as string,
          MACHINES,
          request.params.name as string,
        ),
      );
      if (!machine) return { status: 204 };
      const started = app.startOperation(request, compute(machine, 'machine.deleted'), {
        status: 202,
        monitor: true,
      });
      machine.provisioningState = 'Deleting';
      machines.save(machine);
      if (started.record.outcome.status === 'Succeeded') guests.stop(machine.id);
      return started.reply;
    },
  );
  powerRoutes(services, find);
}
