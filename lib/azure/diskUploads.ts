import type { Disk } from '@azure/arm-compute';
import { armId, HoldfastError, isHoldfastError, parseArmId } from '../model/index.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import { type Operation, startOperation } from './operations.ts';
import { checkTags, type Tags } from './tags.ts';
import { VHD_FOOTER_BYTES } from './vhdFooter.ts';
import { must } from './wire.ts';

export interface UploadRequest {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Derived from the session, so that a second call finds the first one's disk. */
  readonly name: string;
  readonly location: string;
  /** Of the disk to be, without the footer; a multiple of 512, 20 MiB to 32767 GiB. */
  readonly sizeBytes: number;
  /** `Premium_LRS`, `StandardSSD_LRS`, ... */
  readonly sku: string;
  readonly tags: Tags;
  /** For an OS disk. */
  readonly osType?: 'Linux' | 'Windows';
  readonly hyperVGeneration?: 'V1' | 'V2';
  /** Availability zone, e.g. `1`. */
  readonly zone?: string;
  /**
   * Properties of the disk that was backed up, in Azure's own shape. Those that its content needs to be used again are set on
   * the new one: encryption by a customer's key or in the guest, Trusted Launch, plan, capabilities.
   */
  readonly like?: Readonly<Record<string, unknown>>;
}

export interface UploadedDisk {
  readonly id: string;
  readonly name: string;
  readonly uniqueId: string | null;
  readonly location: string;
  readonly sku: string;
  /** `ReadyToUpload`, `ActiveUpload` (granted), `Unattached` (done), ... */
  readonly diskState: string;
  readonly provisioningState: string | null;
  readonly tags: Tags;
}

const TYPE = 'Microsoft.Compute/disks';
const MIB = 1024 ** 2;
const MIN_BYTES = 20 * MIB;
const MAX_BYTES = 32_767 * 1024 ** 3;

/** A disk is uploaded in whole MiB, 20 at least. The disk of a page blob may have another size; what is added reads as zeros. */
export const uploadSizeOf = (sizeBytes: number): number =>
  Math.max(MIN_BYTES, Math.ceil(sizeBytes / MIB) * MIB);

/**
 * Disks that are filled by upload: `startCreate` -> poll -> `DiskGrants.grantAccess(id, 'Write')` -> `UploadDisk` writes pages and the
 * footer -> `DiskGrants.revokeAccess(id)`, where Azure checks the footer -> `Unattached`, ready to attach.
 */
export class DiskUploads {
  readonly #connection: AzureConnection;

  constructor(connection: AzureConnection) {
    this.#connection = connection;
  }

  /** The ARM id that a request's disk has. */
  static idOf(request: Pick<UploadRequest, 'subscriptionId' | 'resourceGroup' | 'name'>): string {
    return armId(request.subscriptionId, request.resourceGroup, TYPE, request.name);
  }

  /** Starts to create the disk. Ask for it by `find` first. `invalidInput`, `tagLimit`, `quotaExceeded`. */
  async startCreate(request: UploadRequest, options?: CallOptions): Promise<Operation> {
    checkTags(request.tags, request.name);
    const id = DiskUploads.idOf(request);
    const { sizeBytes, sku, zone, osType, hyperVGeneration } = request;
    if (sizeBytes % 512 !== 0 || sizeBytes < MIN_BYTES || sizeBytes > MAX_BYTES) {
      throw new HoldfastError(
        'invalidInput',
        `A disk of ${sizeBytes} bytes cannot be uploaded: Azure takes 20 MiB to 32767 GiB in steps of 512 bytes.`,
        { target: id },
      );
    }
    const client = this.#connection.compute(request.subscriptionId);
    const highEnd = sku === 'PremiumV2_LRS' || sku === 'UltraSSD_LRS';
    const disk: Disk = {
      location: request.location,
      tags: { ...request.tags },
      sku: { name: sku },
      creationData: {
        createOption: 'Upload',
        uploadSizeBytes: sizeBytes + VHD_FOOTER_BYTES,
        // These skus have 4096-byte sectors unless told otherwise, which a flat VHD cannot carry.
        ...(highEnd ? { logicalSectorSize: 512 } : {}),
      },
      ...carriedOver(request.like),
      ...(zone === undefined ? {} : { zones: [zone] }),
      ...(osType === undefined ? {} : { osType }),
      ...(hyperVGeneration === undefined ? {} : { hyperVGeneration }),
    };
    return startOperation(
      this.#connection,
      { what: `create disk "${request.name}"`, resourceId: id },
      (call) => client.disks.createOrUpdate(request.resourceGroup, request.name, disk, call),
      options,
    );
  }

  /** Throws `notFound`. */
  async get(id: string, options?: CallOptions): Promise<UploadedDisk> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    const client = this.#connection.compute(subscriptionId);
    const disk = await client.disks.get(resourceGroup, name, this.#connection.call(options));
    return {
      id: disk.id ?? id,
      name: disk.name ?? name,
      uniqueId: disk.uniqueId ?? null,
      location: disk.location,
      sku: must(disk.sku?.name, 'sku', id),
      diskState: must(disk.diskState, 'diskState', id),
      provisioningState: disk.provisioningState ?? null,
      tags: disk.tags ?? {},
    };
  }

  /** Null when there is no such disk. */
  async find(id: string, options?: CallOptions): Promise<UploadedDisk | null> {
    try {
      return await this.get(id, options);
    } catch (error) {
      if (isHoldfastError(error, 'notFound')) return null;
      throw error;
    }
  }

  /** Starts to delete a disk of a failed restore; a missing one is done. Revoke access first. `conflict` while attached. */
  async startRemove(id: string, options?: CallOptions): Promise<Operation> {
    const { subscriptionId, resourceGroup, name } = parseArmId(id);
    const client = this.#connection.compute(subscriptionId);
    return startOperation(
      this.#connection,
      { what: `delete disk "${name}"`, resourceId: id, goneIsDone: true },
      (call) => client.disks.delete(resourceGroup, name, call),
      options,
    );
  }
}

/** What of a disk's properties goes over to the disk that is restored from it. */
function carriedOver(like: Readonly<Record<string, unknown>> = {}): Partial<Disk> {
  const given = like as Partial<
    Pick<
      Disk,
      | 'encryption'
      | 'encryptionSettingsCollection'
      | 'purchasePlan'
      | 'securityProfile'
      | 'supportedCapabilities'
    >
  >;
  const { encryption, encryptionSettingsCollection, purchasePlan, securityProfile } = given;
  return {
    ...(purchasePlan ? { purchasePlan } : {}),
    ...(given.supportedCapabilities ? { supportedCapabilities: given.supportedCapabilities } : {}),
    ...(encryptionSettingsCollection ? { encryptionSettingsCollection } : {}),
    // The platform's own key is the default, and needs no saying.
    ...(encryption?.diskEncryptionSetId ? { encryption } : {}),
    ...(securityProfile?.securityType === 'TrustedLaunch'
      ? { securityProfile: { securityType: 'TrustedLaunch' } }
      : {}),
  };
}
