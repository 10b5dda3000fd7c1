/** What PUT and PATCH of virtual machines may say. */
import * as z from 'zod';
import { ArmError } from '../errors.ts';

const reference = z.looseObject({ id: z.string() });
const deleteOption = z.enum(['Delete', 'Detach']);

const osDisk = z.looseObject({
  name: z.string().optional(),
  osType: z.enum(['Linux', 'Windows']).optional(),
  createOption: z.enum(['FromImage', 'Attach', 'Empty']),
  caching: z.string().optional(),
  diskSizeGB: z.number().int().positive().optional(),
  deleteOption: deleteOption.optional(),
  managedDisk: z
    .looseObject({ id: z.string().optional(), storageAccountType: z.string().optional() })
    .optional(),
  vhd: z.looseObject({ uri: z.string() }).optional(),
  diffDiskSettings: z.looseObject({ option: z.string().optional() }).optional(),
  writeAcceleratorEnabled: z.boolean().optional(),
});

const dataDisk = osDisk.extend({
  lun: z.number().int().min(0).max(63),
  toBeDetached: z.boolean().optional(),
});

const nic = z.looseObject({
  id: z.string(),
  properties: z
    .looseObject({ primary: z.boolean().optional(), deleteOption: deleteOption.optional() })
    .optional(),
});

const nicConfiguration = z.looseObject({
  name: z.string(),
  properties: z.looseObject({
    primary: z.boolean().optional(),
    deleteOption: deleteOption.optional(),
    networkSecurityGroup: reference.optional(),
    enableAcceleratedNetworking: z.boolean().optional(),
    ipConfigurations: z
      .array(
        z.looseObject({
          name: z.string(),
          properties: z.looseObject({ subnet: reference.optional() }).optional(),
        }),
      )
      .min(1),
  }),
});

const storageProfile = z.looseObject({
  imageReference: z.looseObject({}).optional(),
  osDisk: osDisk.optional(),
  dataDisks: z.array(dataDisk).optional(),
  diskControllerType: z.string().optional(),
});

const identity = z.looseObject({
  type: z.string(),
  userAssignedIdentities: z.record(z.string(), z.unknown()).optional(),
});

const properties = z.looseObject({
  hardwareProfile: z.looseObject({ vmSize: z.string() }).optional(),
  storageProfile: storageProfile.optional(),
  osProfile: z
    .looseObject({
      computerName: z.string().optional(),
      adminUsername: z.string().optional(),
      adminPassword: z.string().optional(),
      customData: z.string().optional(),
    })
    .optional(),
  networkProfile: z
    .looseObject({
      networkInterfaces: z.array(nic).optional(),
      networkInterfaceConfigurations: z.array(nicConfiguration).optional(),
    })
    .optional(),
  userData: z.string().optional(),
});

export const machineBody = z.looseObject({
  location: z.string(),
  tags: z.record(z.string(), z.string()).optional(),
  zones: z.array(z.string()).optional(),
  plan: z.unknown().optional(),
  identity: identity.optional(),
  properties: properties.optional(),
});

export const machinePatch = machineBody.partial();

export type MachinePut = z.output<typeof machineBody>;
export type MachinePatch = z.output<typeof machinePatch>;
export type MachineProperties = NonNullable<MachinePut['properties']>;
export type OsDiskBody = z.output<typeof osDisk>;
export type DataDiskBody = z.output<typeof dataDisk>;
export type NicConfiguration = z.output<typeof nicConfiguration>;

const ECHOED = [
  'additionalCapabilities',
  'applicationProfile',
  'availabilitySet',
  'billingProfile',
  'capacityReservation',
  'diagnosticsProfile',
  'evictionPolicy',
  'extensionsTimeBudget',
  'host',
  'hostGroup',
  'licenseType',
  'platformFaultDomain',
  'priority',
  'proximityPlacementGroup',
  'scheduledEventsProfile',
  'securityProfile',
  'virtualMachineScaleSet',
];

export function echoedMachineProperties(given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => ECHOED.includes(name)));
}

/** Base64 of at most 64 KiB, as Azure takes customData and userData. */
export function checkBase64(value: string, property: string): void {
  const bytes = Buffer.from(value, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== value.replaceAll(/\s/g, '').replace(/=+$/, '')) {
    throw new ArmError(400, 'InvalidParameter', `${property} must be base64.`, { target: property });
  }
  if (bytes.length > 65_535)
    throw new ArmError(
      400,
      'InvalidParameter',
      `${property} has ${bytes.length} bytes; at most 65535 are allowed.`,
      { target: property },
    );
}
