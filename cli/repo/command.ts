import { type Command, InvalidArgumentError } from 'commander';
import type { CheckDepth } from '../../lib/repository/index.ts';
import { choice, pointName } from '../commands/options.ts';
import type { Context } from '../context.ts';
import { check } from './check.ts';
import { type GcOptions, planGc, runGc } from './gc.ts';
import { IMAGE_FORMATS } from './image.ts';
import { repoKeysCommand } from './keys.ts';
import { listDisks, listPoints } from './list.ts';
import { openForReading, type RepositoryOptions } from './open.ts';
import { printRescan } from './rescan.ts';
import { type RestoreOptions, restoreDisk } from './restoreDisk.ts';
import { restoreMachineConfig } from './restoreMachineConfig.ts';
import { printStatistics } from './stats.ts';
import type { RepoSurroundings } from './surroundings.ts';

/**
 * `holdfast repo`: work on a repository with nothing but its objects and its password. No service, no catalog; what only
 * reads changes nothing.
 */
export function repoCommand(parent: Command, context: Context, around: RepoSurroundings): void {
  const repo = parent.command('repo').description('work on a repository itself, without the service');
  const addTo = (parent: Command, name: string, description: string): Command =>
    parent
      .command(name)
      .description(description)
      .option(
        '--repository <location>',
        'folder, or URL of the meta container with SAS (HOLDFAST_REPOSITORY)',
      )
      .option('--data <location>', 'folder, or URL of the data container with SAS (HOLDFAST_REPOSITORY_DATA)')
      .option('--password-file <file>', 'file with the password (or HOLDFAST_REPOSITORY_PASSWORD)');
  const add = (name: string, description: string): Command => addTo(repo, name, description);

  add('ls', 'list the restore points, or the disks of one')
    .argument('[point]', 'a restore point: <chain>/<sequence>', pointName)
    .option('--machine <machine>', 'only of this machine: its name or vmId')
    .action(async (point: string | undefined, options: RepositoryOptions & { machine?: string }) => {
      const repository = await openForReading(options, context, around);
      if (point === undefined) await listPoints(repository, options.machine, context);
      else await listDisks(repository, point, context);
    });

  add('check', 'check every object; exit code 5 when something is damaged')
    .addOption(
      choice('--depth <depth>', 'structure: all metadata, packs are there; content: each block as well', [
        'structure',
        'content',
      ]).default('structure'),
    )
    .action((options: RepositoryOptions & { depth: CheckDepth }) =>
      check(options, options.depth, context, around),
    );

  add('restore-disk', 'restore a disk to a sparse file, or to stdout')
    .argument('<point>', 'the restore point: <chain>/<sequence>', pointName)
    .option('--disk <number>', 'number of the disk; "holdfast repo ls <point>" shows them', diskNumber)
    .requiredOption('-o, --output <file>', 'the file to make; - is stdout')
    .addOption(choice('--format <format>', 'raw disk, or fixed VHD', IMAGE_FORMATS).default('raw'))
    .option('--force', 'replace a file that exists')
    .option('--keep', 'keep the partial file of a failed restore')
    .action((point: string, options: RestoreOptions) => restoreDisk(point, options, context, around));

  add('restore-machine-config', 'print the configuration of the machine: VM, network interfaces, disks')
    .argument('<point>', 'the restore point: <chain>/<sequence>', pointName)
    .option('-o, --output <file>', 'the file to make; - is stdout', '-')
    .option('--force', 'replace a file that exists')
    .action((point: string, options: RepositoryOptions & { output: string; force?: boolean }) =>
      restoreMachineConfig(point, options, context, around),
    );

  add('stats', 'say what each chain holds: live, shared and dead bytes').action(
    (options: RepositoryOptions) => printStatistics(options, context, around),
  );

  add('rescan', 'say what a rescan would bring into the catalog; changes nothing').action(
    (options: RepositoryOptions) => printRescan(options, context, around),
  );

  add('gc', 'remove what no restore point needs')
    .option('--dry-run', 'only say what would be removed')
    .option('--compact', 'also write packs anew of which less than half is needed')
    .option('--installation <name>', 'act for this installation (default: the owner in the repository)')
    .action((options: GcOptions) => (options.dryRun ? planGc : runGc)(options, context, around));

  repoKeysCommand(repo.command('keys').description('the ways into the repository'), addTo, context, around);
}

function diskNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected the number of a disk.');
  return Number(text);
}
