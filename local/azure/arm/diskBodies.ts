/** What PUT and PATCH of disks and snapshots may say. */
import * as z from 'zod';
import { ArmError, invalidParameter } from '../errors.ts';
import type { DiskLike } from './diskRecords.ts';

const tags = z.record(z.string(), z.string());
const sku = z.looseObject({ name: z.string() });

const properties = z.looseObject({
  osType: z.enum(['Linux', 'Windows']).optional(),
  hyperVGeneration: z.enum(['V1', 'V2']).optional(),
  diskSizeGB: z.number().int().positive().max(65_536).optional(),
});

const creationData = z.looseObject({
  createOption: z.string(),
  sourceResourceId: z.string().optional(),
  uploadSizeBytes: z.number().int().optional(),
  logicalSectorSize: z.number().int().optional(),
});

export const diskBody = z.looseObject({
  location: z.string(),
  tags: tags.optional(),
  zones: z.array(z.string()).optional(),
  sku: sku.optional(),
  properties: properties.extend({ creationData }),
});

export const snapshotBody = z.looseObject({
  location: z.string(),
  tags: tags.optional(),
  sku: sku.optional(),
  properties: properties.extend({ creationData, incremental: z.boolean().optional() }),
});

export const diskPatch = z.looseObject({
  tags: tags.optional(),
  sku: sku.optional(),
  properties: properties.partial().optional(),
});

export type DiskPut = z.output<typeof diskBody>;
export type SnapshotPut = z.output<typeof snapshotBody>;
export type DiskPatch = z.output<typeof diskPatch>;

const ECHOED = [
  'burstingEnabled',
  'dataAccessAuthMode',
  'diskAccessId',
  'diskIOPSReadWrite',
  'diskMBpsReadWrite',
  'encryption',
  'encryptionSettingsCollection',
  'maxShares',
  'networkAccessPolicy',
  'optimizedForFrequentAttach',
  'publicNetworkAccess',
  'purchasePlan',
  'securityProfile',
  'supportedCapabilities',
  'supportsHibernation',
  'tier',
];

/** The properties that are kept and shown as given. */
export function echoedProperties(given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => ECHOED.includes(name)));
}

const DISK_SKUS = [
  'Standard_LRS',
  'StandardSSD_LRS',
  'Premium_LRS',
  'StandardSSD_ZRS',
  'Premium_ZRS',
  'PremiumV2_LRS',
  'UltraSSD_LRS',
];
const SNAPSHOT_SKUS = ['Standard_LRS', 'Standard_ZRS', 'Premium_LRS'];

export function checkSku(kind: DiskLike['kind'], name: string): string {
  const known = kind === 'disk' ? DISK_SKUS : SNAPSHOT_SKUS;
  if (known.includes(name)) return name;
  throw invalidParameter(
    'sku.name',
    `The value '${name}' of parameter sku.name is not supported. Supported values: ${known.join(', ')}.`,
  );
}

const MIN_UPLOAD = 20_972_032;
const MAX_UPLOAD = 35_183_298_347_520;

/** 20 MiB to 32,767 GiB, and the footer of 512 bytes; whole MiB of disk. */
export function checkUploadSize(bytes: number | undefined): number {
  const name = 'disk.creationData.uploadSizeBytes';
  if (bytes === undefined) throw invalidParameter(name, `Required parameter '${name}' is missing (null).`);
  if (bytes < MIN_UPLOAD || bytes > MAX_UPLOAD) {
    throw invalidParameter(
      name,
      `The value of parameter ${name} is out of range: ${bytes}. It must be between ${MIN_UPLOAD} and ${MAX_UPLOAD} bytes inclusive.`,
    );
  }
  if ((bytes - 512) % 2 ** 20 !== 0) {
    throw invalidParameter(
      name,
      `The value of parameter ${name} is invalid: ${bytes}. It must be a whole number of MiB plus a footer of 512 bytes.`,
    );
  }
  return bytes;
}

/** Throws when a growth is none, or not possible. */
export function checkGrowth(kind: DiskLike['kind'], oldBytes: number, newGiB: number): number {
  const bytes = newGiB * 2 ** 30;
  // A disk of an odd size shows its GiB rounded up; saying that number again changes nothing.
  if (newGiB === Math.ceil(oldBytes / 2 ** 30)) return oldBytes;
  if (bytes < oldBytes) {
    throw new ArmError(
      400,
      'OperationNotAllowed',
      `${kind === 'disk' ? 'Disk' : 'Snapshot'} size reduction is not supported. Current size is ${oldBytes} bytes, requested size is ${bytes} bytes.`,
      { target: 'diskSizeGB' },
    );
  }
  return bytes;
}
