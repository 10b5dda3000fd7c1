import { createHash } from 'node:crypto';
import { armId, MiB } from '../../lib/model/index.ts';
import type { AdminClient } from '../../local/azure/index.ts';
import { DEMO } from '../../local/demo/subscription.ts';

const CHUNK = MiB;

/**
 * A disk as the guest knows it: what it wrote, and nothing from the simulator. What a restore must bring back is read here.
 */
export class GuestDisk {
  readonly id: string;
  readonly name: string;
  readonly bytes: Buffer;
  readonly #admin: () => AdminClient;

  constructor(admin: () => AdminClient, name: string, sizeBytes: number) {
    this.#admin = admin;
    this.name = name;
    this.id = armId(DEMO.subscriptionId, DEMO.resourceGroup, 'Microsoft.Compute/disks', name);
    this.bytes = Buffer.alloc(sizeBytes);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; at += CHUNK) {
      const part = data.subarray(at, at + CHUNK);
      await this.#admin().call('writeDisk', { diskId: this.id, offset: offset + at, data: part });
    }
    data.copy(this.bytes, offset);
  }

  digest(): string {
    return createHash('sha256').update(this.bytes).digest('hex');
  }
}

/** SHA-256 of all bytes that a disk or snapshot has in the simulator. */
export async function digestOf(admin: AdminClient, diskId: string): Promise<string> {
  const { sizeBytes } = await admin.call('describeDisk', { diskId });
  const hash = createHash('sha256');
  for (let offset = 0; offset < sizeBytes; offset += 8 * CHUNK) {
    const length = Math.min(8 * CHUNK, sizeBytes - offset);
    hash.update(await admin.call('readDisk', { diskId, offset, length }));
  }
  return hash.digest('hex');
}

/** A VM in the demo's resource group: an OS disk and data disks, empty. Made again, it is the one that is there. */
export async function addMachine(
  admin: AdminClient,
  name: string,
  disks: readonly GuestDisk[],
): Promise<void> {
  const [os, ...data] = disks.map((disk) => ({ name: disk.name, sizeBytes: disk.bytes.length }));
  if (!os) throw new Error(`${name} needs a disk.`);
  await admin.call('addVirtualMachine', {
    subscription: DEMO.subscriptionId,
    group: DEMO.resourceGroup,
    location: DEMO.location,
    name,
    osDisk: os,
    dataDisks: data,
  });
}
