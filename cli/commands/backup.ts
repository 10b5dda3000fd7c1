import type { Command } from 'commander';
import { FLAGS, moverSchema } from '../../lib/model/index.ts';
import { backupPreviewAnswer, type DiskPreview, startedAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { bytes, type Column } from '../output.ts';
import { choice, laterTime, words } from './options.ts';
import { startedSession } from './session.ts';

const PREVIEW: readonly Column<DiskPreview>[] = [
  { name: 'DISK', value: (disk) => disk.name },
  { name: 'SIZE', value: (disk) => disk.sizeBytes, show: (disk) => bytes(disk.sizeBytes) },
  { name: 'WOULD READ', value: (disk) => disk.plannedReason },
];

interface StartOptions {
  wait?: boolean;
  mover?: string;
  reset?: boolean;
  flags?: readonly string[];
  expires?: string;
  repository?: string;
  copies?: readonly string[];
  dryRun?: boolean;
  reason?: string;
}

export function backupCommand(parent: Command, context: Context): void {
  const backup = parent.command('backup').description('back up on demand');
  backup
    .command('start')
    .description('back up one machine now')
    .argument('<machine>', 'its name, ARM id or vmId')
    .option('--wait', 'follow the session to its end, and take its exit code')
    .addOption(choice('--mover <mover>', 'who moves the data', moverSchema.options))
    .option('--reset', 'read every disk whole')
    .option('--flags <flags>', 'what the restore point counts for, as in daily,monthly', words(FLAGS))
    .option('--expires <when>', 'keep it until then: a time, or as in 12h, 30d', laterTime(context.clock))
    .option('--repository <name>', 'where it goes (default: the repository of the settings)')
    .option('--copies <names...>', 'repositories that get a restore point of the same snapshots')
    .option('--dry-run', 'only say what would be read')
    .option('--reason <text>', 'why; kept with the session')
    .action(async (machine: string, { wait, mover, expires, ...options }: StartOptions) => {
      const body = {
        machine,
        ...options,
        ...(mover === undefined ? {} : { protection: { mover } }),
        ...(expires === undefined ? {} : { expiresAt: expires }),
      };
      if (options.dryRun) {
        const preview = await context.api().post('backups', body, backupPreviewAnswer);
        if (context.format === 'json') context.stdout.write(`${JSON.stringify(preview, null, 2)}\n`);
        else printList(context, PREVIEW, preview.disks, 'The machine has no disks to read.');
        return;
      }
      await startedSession(context, await context.api().post('backups', body, startedAnswer), wait ?? false);
    });
}
