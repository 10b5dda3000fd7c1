/** PUT of a machine that is not there yet: checked whole before anything is made. */
import { randomBytes, randomUUID } from 'node:crypto';
import { ArmError, invalidParameter } from '../errors.ts';
import type { ArmRequest } from './app.ts';
import { referredId, resourceId } from './ids.ts';
import {
  checkBase64,
  echoedMachineProperties,
  type MachineProperties,
  type MachinePut,
  type NicConfiguration,
} from './machineBodies.ts';
import { assignIdentity } from './machineIdentity.ts';
import { MACHINES, type MachineRecord } from './machineRecords.ts';
import { type MachineServices, usersOf } from './machineServices.ts';
import { carryOut, planStorage } from './machineStorage.ts';
import { networkRecord } from './network.ts';
import { requireLinks } from './networkLinks.ts';
import type { NetworkRecord } from './networkRecords.ts';

const WRITE = 'Microsoft.Compute/virtualMachines/write';

/** Makes machine, disks and interfaces. `failure` is the error with which its operation is to end (no capacity). */
export async function createMachine(
  services: MachineServices,
  request: ArmRequest,
  at: { s: string; g: string; name: string },
  body: MachinePut,
): Promise<{ machine: MachineRecord; failure: { code: string; message: string } | undefined }> {
  const { app, sizes, clock, machines } = services;
  const properties: MachineProperties = body.properties ?? {};
  const location = app.core.subscriptions.requireLocation(at.s, body.location);
  const vmSize = properties.hardwareProfile?.vmSize ?? 'Standard_D2s_v5';
  const size = sizes.get(vmSize);
  const [zone] = body.zones ?? [];
  const failure = sizes.requireAvailable(location, size.name, zone);
  sizes.requireQuota(at.s, location, size.cores);

  const place = {
    subscription: at.s,
    group: at.g,
    location,
    name: at.name,
    ...(body.zones === undefined ? {} : { zones: body.zones }),
  };
  const storageProfile = properties.storageProfile ?? {};
  checkImage(properties);
  const dataDisks = storageProfile.dataDisks ?? [];
  if (dataDisks.length > size.maxDataDisks) {
    throw new ArmError(
      409,
      'OperationNotAllowed',
      `The maximum number of data disks allowed to be attached to a VM of this size is ${size.maxDataDisks}.`,
      { target: 'dataDisks' },
    );
  }
  const plan = planStorage(services, request, place, storageProfile.osDisk, dataDisks);
  const { interfaces, made } = planInterfaces(services, request, { ...at, location }, properties);
  const customData = checkOsProfile(properties);
  if (properties.userData !== undefined) checkBase64(properties.userData, 'userData');

  const id = resourceId(at.s, at.g, MACHINES, at.name);
  const machine: MachineRecord = {
    id,
    subscription: at.s,
    group: at.g,
    name: at.name,
    location,
    tags: body.tags ?? {},
    ...(body.zones === undefined ? {} : { zones: body.zones }),
    ...(body.plan === undefined ? {} : { plan: body.plan }),
    vmId: randomUUID(),
    size: size.name,
    power: 'starting',
    provisioningState: 'Creating',
    timeCreated: clock.now().getTime(),
    osDisk: plan.osDisk,
    dataDisks: plan.dataDisks,
    ...(storageProfile.imageReference === undefined ? {} : { imageReference: storageProfile.imageReference }),
    ...(properties.osProfile === undefined
      ? {}
      : { osProfile: shownOsProfile(properties.osProfile, at.name) }),
    interfaces,
    echoed: {
      ...echoedMachineProperties(properties),
      ...(storageProfile.diskControllerType === undefined
        ? {}
        : { diskControllerType: storageProfile.diskControllerType }),
    },
    ...(properties.userData === undefined ? {} : { userData: properties.userData }),
    ...(customData === undefined ? {} : { customData }),
  };
  if (body.identity) assignIdentity(services, request, machine, body.identity);
  for (const nic of made) services.network.save(nic);
  await carryOut(services, id, { made: plan.made, attached: [plan.osDisk, ...plan.dataDisks] });
  machines.save(machine);
  return { machine, failure };
}

function checkImage(properties: MachineProperties): void {
  const { imageReference, osDisk } = properties.storageProfile ?? {};
  if (osDisk?.createOption === 'FromImage') {
    if (!imageReference)
      throw invalidParameter('imageReference', "Required parameter 'imageReference' is missing (null).");
    if (!properties.osProfile)
      throw invalidParameter('osProfile', "Required parameter 'osProfile' is missing (null).");
    return;
  }
  if (imageReference)
    throw invalidParameter(
      'imageReference',
      "Parameter 'imageReference' is not allowed with createOption Attach.",
    );
  if (properties.osProfile)
    throw invalidParameter(
      'osProfile',
      "Parameter 'osProfile' is not allowed: the OS disk is attached, it is specialized.",
    );
}

/** Answers the customData. */
function checkOsProfile(properties: MachineProperties): string | undefined {
  const { osProfile } = properties;
  if (!osProfile) return undefined;
  if (!osProfile.adminUsername)
    throw invalidParameter(
      'osProfile.adminUsername',
      "Required parameter 'adminUsername' is missing (null).",
    );
  if (/^(admin|administrator|root|user|test|guest)$/i.test(osProfile.adminUsername)) {
    throw invalidParameter('osProfile.adminUsername', 'The Admin Username specified is not allowed.');
  }
  if (osProfile.customData !== undefined) checkBase64(osProfile.customData, 'osProfile.customData');
  return osProfile.customData;
}

function shownOsProfile(
  given: NonNullable<MachineProperties['osProfile']>,
  name: string,
): Record<string, unknown> {
  const { adminPassword: _password, customData: _customData, secrets: _secrets, ...shown } = given;
  return {
    computerName: name,
    secrets: [],
    allowExtensionOperations: true,
    requireGuestProvisionSignal: true,
    ...shown,
  };
}

/** Interfaces that exist and are free, or made from the configurations in the body. */
function planInterfaces(
  services: MachineServices,
  request: ArmRequest,
  at: { s: string; g: string; name: string; location: string },
  properties: MachineProperties,
): { interfaces: MachineRecord['interfaces']; made: NetworkRecord[] } {
  const profile = properties.networkProfile ?? {};
  const machineId = resourceId(at.s, at.g, MACHINES, at.name);
  const existing = (profile.networkInterfaces ?? []).map((given, index, all) => {
    const { app, network, machines } = services;
    referredId(
      given.id,
      'Microsoft.Network/networkInterfaces',
      'properties.networkProfile.networkInterfaces.id',
    );
    app.core.roles.requireLinked(request.caller, WRITE, machineId, {
      action: 'Microsoft.Network/networkInterfaces/join/action',
      scope: given.id,
    });
    const nic = network.get(given.id);
    if (!nic)
      throw new ArmError(
        400,
        'InvalidResourceReference',
        `Resource ${given.id} referenced by resource ${machineId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
      );
    const [user] = usersOf(machines, nic.id);
    if (user)
      throw new ArmError(
        400,
        'NicInUse',
        `Network Interface ${nic.id} is used by existing resource ${user.id}. In order to delete the network interface, it must be dissociated from the resource.`,
      );
    return {
      id: nic.id,
      primary: given.properties?.primary ?? all.length === 1,
      deleteOption: given.properties?.deleteOption ?? ('Detach' as const),
      index,
    };
  });
  const made = (profile.networkInterfaceConfigurations ?? []).map((configuration) =>
    inlineInterface(services, request, at, configuration),
  );
  const interfaces = [
    ...existing.map(({ id, primary, deleteOption }) => ({ id, primary, deleteOption })),
    ...made.map(({ record, configuration }, index) => ({
      id: record.id,
      primary: configuration.properties.primary ?? (existing.length === 0 && index === 0),
      deleteOption: configuration.properties.deleteOption ?? ('Detach' as const),
    })),
  ];
  if (interfaces.length === 0)
    throw invalidParameter(
      'networkProfile',
      "Required parameter 'networkProfile' is missing (null): a machine has at least one network interface.",
    );
  return { interfaces, made: made.map(({ record }) => record) };
}

function inlineInterface(
  services: MachineServices,
  request: ArmRequest,
  at: { s: string; g: string; location: string },
  configuration: NicConfiguration,
) {
  const { primary: _primary, deleteOption: _deleteOption, ...rest } = configuration.properties;
  const ipConfigurations = rest.ipConfigurations.map((ip) => ({ ...ip, properties: ip.properties ?? {} }));
  const record = networkRecord(
    services,
    {
      s: at.s,
      g: at.g,
      type: 'networkInterfaces',
      name: `${configuration.name}-${randomBytes(4).toString('hex')}`,
      location: at.location,
    },
    { properties: { ...rest, ipConfigurations } },
  );
  requireLinks(services, request, record);
  return { record, configuration };
}
