import { isDiskRestorePoint } from '../../azure/index.ts';
import type { Installation } from '../../installation/index.ts';
import type { Machine, Protection, ReadReason } from '../../model/index.ts';
import { chooseMoment } from './guestMoment.ts';
import { chooseDisks } from './supported.ts';
import { wholeReadsOf } from './wholeReads.ts';

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
  {
    reset,
    protection,
    repository: name,
  }: { readonly reset: boolean; readonly protection: Protection; readonly repository?: string | undefined },
): Promise<DiskPreview[]> {
  const configuration = await installation.azure.machines.readConfiguration(machine.armId);
  const { disks } = chooseDisks(configuration, protection);
  const repository = await installation.repository(name);
  const chain = await installation.catalog.chains.get({ repositoryId: repository.id, machineId: machine.id });
  const { mode: moment } = chooseMoment({
    configuration,
    disks,
    mode: protection.consistency.mode,
    makes: 'backup',
  });
  const points = chain ? await installation.catalog.points.list(chain.chainId) : [];
  const parent = points.at(-1)?.point ?? null;
  const whole = await wholeReadsOf(installation, { protection }, chain?.chainId ?? '', parent);
  return Promise.all(
    disks.map(async ({ name, sizeBytes, uniqueId }) => {
      const previous = parent?.disks.find((disk) => disk.uniqueId === uniqueId);
      const tracked =
        protection.changedBlocks.enabled &&
        moment === null &&
        !isDiskRestorePoint(previous?.snapshotId ?? '');
      const plannedReason = async (): Promise<ReadReason> => {
        if (!previous) return 'first';
        if (reset || whole.isReset(uniqueId)) return 'reset';
        if (!tracked) return 'cbtOff';
        if (!(await installation.azure.snapshots.find(previous.snapshotId))) return 'baseMissing';
        return whole.isDue(uniqueId) ? 'scheduled' : 'changedBlocks';
      };
      return { name, sizeBytes, plannedReason: await plannedReason() };
    }),
  );
}
