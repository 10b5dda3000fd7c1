import type { Command } from 'commander';
import { restorePreviewAnswer, startedAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { bytes, type Column } from '../output.ts';
import { diskNumbers, pointName } from './options.ts';
import { startedSession } from './session.ts';

interface DiskToCreate {
  readonly number: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly resourceGroup: string;
  readonly location: string;
}

const PREVIEW: readonly Column<DiskToCreate>[] = [
  { name: 'DISK', value: (disk) => disk.number },
  { name: 'NAME', value: (disk) => disk.name },
  { name: 'SIZE', value: (disk) => disk.sizeBytes, show: (disk) => bytes(disk.sizeBytes) },
  { name: 'INTO RESOURCE GROUP', value: (disk) => disk.resourceGroup },
  { name: 'LOCATION', value: (disk) => disk.location },
];

interface RestoreOptions {
  disk?: number[];
  resourceGroup?: string;
  namePrefix?: string;
  dryRun?: boolean;
  wait?: boolean;
}

export function restoreCommand(parent: Command, context: Context): void {
  const restore = parent.command('restore').description('restore from a restore point');
  restore
    .command('disk')
    .description('restore disks of a restore point to new managed disks')
    .argument('<point>', 'the restore point: <chain>/<sequence>', pointName)
    .option('--disk <numbers>', 'only the disks with these numbers (repeat, or 0,2)', diskNumbers)
    .option('--resource-group <name>', 'where to create the disks (default: where they were)')
    .option('--name-prefix <text>', 'what the names of the new disks begin with')
    .option('--dry-run', 'only say what would be created')
    .option('--wait', 'follow the session to its end, and take its exit code')
    .action(async (restorePoint: string, { disk, wait, ...options }: RestoreOptions) => {
      const body = { restorePoint, ...(disk === undefined ? {} : { disks: disk }), ...options };
      if (options.dryRun) {
        const preview = await context.api().post('restores', body, restorePreviewAnswer);
        if (context.format === 'json') {
          context.stdout.write(`${JSON.stringify(preview, null, 2)}\n`);
          return;
        }
        const { point, resourceGroup, location } = preview;
        const disks = point.disks
          .filter(({ number }) => disk?.includes(number) ?? true)
          .map(({ number, name, sizeBytes }) => ({ number, name, sizeBytes, resourceGroup, location }));
        printList(context, PREVIEW, disks, 'Nothing would be created.');
        return;
      }
      await startedSession(context, await context.api().post('restores', body, startedAnswer), wait ?? false);
    });
}
