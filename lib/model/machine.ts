import { z } from 'zod';
import { machineIdSchema } from './ids.ts';

/** A disk as attached to a machine, at the moment it was looked at. Sizes in bytes. */
export const diskSchema = z.object({
  /** `unmanaged`: a page blob in a storage account, whose last 512 bytes are the footer of a fixed VHD. */
  kind: z.enum(['managed', 'unmanaged']).default('managed'),
  /** ARM id of a managed disk; URL of an unmanaged one. */
  id: z.string(),
  name: z.string(),
  /**
   * Azure's `uniqueId`, or what stands for it on an unmanaged disk (ADR 0013): what a disk's number in the chain belongs to,
   * never its LUN or its name.
   */
  uniqueId: z.string(),
  role: z.enum(['os', 'data']),
  /** Logical unit number; null for the OS disk. */
  lun: z.number().int().nullable(),
  sizeBytes: z.number().int().positive(),
  sectorSize: z.number().int().default(512),
  location: z.string(),
  sku: z.string(),
  /** As ARM reports them, for recreating the disk; shapes are Azure's. */
  configuration: z.record(z.string(), z.unknown()),
});
export type Disk = z.infer<typeof diskSchema>;

/** A VM as discovered. */
export const machineSchema = z.object({
  id: machineIdSchema,
  armId: z.string(),
  name: z.string(),
  subscriptionId: z.string(),
  resourceGroup: z.string(),
  location: z.string(),
  powerState: z.enum(['running', 'stopped', 'deallocated', 'unknown']),
  tags: z.record(z.string(), z.string()),
});
export type Machine = z.infer<typeof machineSchema>;

/** Everything that is needed to recreate a machine: the VM's and its NICs' resources as ARM reports them, and its disks. */
export const machineConfigurationSchema = z.object({
  machine: machineSchema,
  virtualMachine: z.record(z.string(), z.unknown()),
  networkInterfaces: z.array(z.record(z.string(), z.unknown())),
  disks: z.array(diskSchema),
});
export type MachineConfiguration = z.infer<typeof machineConfigurationSchema>;
