import type { Installation } from '../../installation/index.ts';
import type { Machine, ReadReason } from '../../model/index.ts';
import { refuseUnsupported } from './supported.ts';

export interface DiskPreview {
  readonly name: string;
  readonly sizeBytes: number;
  /** How it would be read, as far as can be said without taking a snapshot. */
  readonly plannedReason: ReadReason;
}

/** What a backup of the machine would read, without making anything. Throws what the backup would refuse. */
export async function previewBackup(
  installation: Installation,
  machine: Machine,
  reset: boolean,
): Promise<DiskPreview[]> {
  const configuration = await installation.azure.machines.readConfiguration(machine.armId);
  refuseUnsupported(configuration);
  const repository = await installation.repository();
  const chain = await installation.catalog.chains.get({ repositoryId: repository.id, machineId: machine.id });
  return Promise.all(
    configuration.disks.map(async ({ name, sizeBytes, uniqueId }) => {
      const base = chain?.bases[uniqueId];
      const exists = base ? (await installation.azure.snapshots.find(base.snapshotId)) !== null : false;
      const plannedReason: ReadReason = !base
        ? 'first'
        : reset
          ? 'reset'
          : exists
            ? 'changedBlocks'
            : 'baseMissing';
      return { name, sizeBytes, plannedReason };
    }),
  );
}
