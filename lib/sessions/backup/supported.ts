import { type Disk, HoldfastError, type MachineConfiguration } from '../../model/index.ts';

/** Refuses what cannot be backed up rightly, with the reason, before anything is made. */
export function refuseUnsupported({ machine, disks }: MachineConfiguration): void {
  if (disks.length === 0) {
    throw new HoldfastError('diskUnsupported', `Machine ${machine.name} has no managed disk.`, {
      target: machine.armId,
    });
  }
  for (const disk of disks) {
    const why = obstacle(disk);
    if (why !== null) {
      throw new HoldfastError(
        'diskUnsupported',
        `Disk ${disk.name} of machine ${machine.name} cannot be backed up: ${why}.`,
        {
          target: disk.id,
        },
      );
    }
  }
}

function obstacle({ sectorSize, sku, configuration }: Disk): string | null {
  const properties = (configuration['properties'] ?? {}) as {
    maxShares?: number;
    networkAccessPolicy?: string;
  };
  if (sectorSize !== 512)
    return `its sectors have ${sectorSize} bytes, and its snapshots are VHDX files, which are not read yet`;
  if (/^(UltraSSD|PremiumV2)_/i.test(sku))
    return `snapshots of ${sku} disks are copied in the background, which is not waited for yet`;
  if ((properties.maxShares ?? 1) > 1) return 'it is shared by several machines';
  if (properties.networkAccessPolicy === 'DenyAll') return 'its network access policy is DenyAll';
  return null;
}
