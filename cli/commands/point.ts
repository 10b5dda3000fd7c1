import type { Command } from 'commander';
import { flagLetters, type RestorePoint, restorePointName } from '../../lib/model/index.ts';
import { type DamageAnswer, damageAnswer, type PointAnswer, pointAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import { bytes, type Column, time } from '../output.ts';
import { addDelete } from './pointDelete.ts';
import { addHold } from './pointHold.ts';

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

const LIST: readonly Column<PointAnswer>[] = [
  ...POINT_COLUMNS,
  { name: 'STATE', value: ({ state }) => state },
  { name: 'FLAGS', value: ({ flags }) => flagLetters(flags) || null },
  { name: 'LEFT OUT', value: ({ leftOut }) => leftOut?.map(({ name }) => name).join(', ') ?? null },
  { name: 'HELD', value: ({ hold }) => hold && hold.reason },
  { name: 'EXPIRES', value: ({ expiresAt }) => expiresAt, show: ({ expiresAt }) => time(expiresAt) },
  {
    name: 'IMMUTABLE UNTIL',
    value: ({ immutableUntil }) => immutableUntil,
    show: ({ immutableUntil }) => time(immutableUntil),
  },
];

const DAMAGE: readonly Column<DamageAnswer>[] = [
  { name: 'RESTORE POINT', value: ({ name }) => name },
  { name: 'MACHINE', value: ({ machineName }) => machineName },
  { name: 'TAKEN', value: ({ takenAt }) => takenAt, show: ({ takenAt }) => time(takenAt) },
  { name: 'DAMAGE', value: ({ kind }) => kind },
  { name: 'DISKS', value: ({ disks }) => disks.map(({ name, blocks }) => `${name} (${blocks})`).join(', ') },
  { name: 'AFFECTS', value: ({ affects }) => affects.join(', ') },
  { name: 'WHAT', value: ({ what }) => what },
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
      printList(context, LIST, await context.api().list(path, pointAnswer), 'No restore points yet.');
    });
  point
    .command('damage')
    .description('restore points that are damaged or missing, with everything that it affects')
    .option('--machine <machine>', 'only of this machine')
    .action(async ({ machine }: { machine?: string }) => {
      const found = await context.api().list('damage', damageAnswer, { machine });
      printList(context, DAMAGE, found, 'No restore point is known to be damaged.');
      if (found.length > 0) context.exitCode = EXIT.partly;
    });
  addDelete(point, context);
  addHold(point, context);
}
