import type { Command } from 'commander';
import { type RestorePoint, restorePointName } from '../../lib/model/index.ts';
import { pointAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { bytes, type Column, time } from '../output.ts';

type Amount = 'sizeBytes' | 'readBytes' | 'storedBytes';
const sum = (point: RestorePoint, amount: Amount): number =>
  point.disks.reduce((total, disk) => total + disk[amount], 0);
const amount = (name: string, key: Amount): Column<RestorePoint> => ({
  name,
  value: (point) => sum(point, key),
  show: (point) => bytes(sum(point, key)),
});

/** What is shown of a restore point, here and by `holdfast repo ls`. */
export const POINT_COLUMNS: readonly Column<RestorePoint>[] = [
  { name: 'RESTORE POINT', value: restorePointName },
  { name: 'MACHINE', value: (point) => point.machineName },
  { name: 'KIND', value: (point) => point.kind },
  { name: 'TAKEN', value: (point) => point.takenAt, show: (point) => time(point.takenAt) },
  { name: 'DISKS', value: (point) => point.disks.length },
  amount('SIZE', 'sizeBytes'),
  amount('READ', 'readBytes'),
  amount('STORED', 'storedBytes'),
  { name: 'CONSISTENCY', value: (point) => point.consistency },
  {
    name: 'READ REASON',
    value: (point) => [...new Set(point.disks.map((disk) => disk.readReason))].join(','),
  },
];

export function pointCommand(parent: Command, context: Context): void {
  const point = parent.command('point').description('restore points');
  point
    .command('list')
    .description('list restore points, newest first')
    .option('--machine <machine>', 'only of this machine: its name, ARM id or vmId')
    .action(async (options: { machine?: string }) => {
      const path =
        options.machine === undefined
          ? 'restorePoints'
          : `machines/${encodeURIComponent(options.machine)}/restorePoints`;
      printList(
        context,
        POINT_COLUMNS,
        await context.api().list(path, pointAnswer),
        'No restore points yet.',
      );
    });
}
