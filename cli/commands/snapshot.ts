import type { Command } from 'commander';
import { flagLetters } from '../../lib/model/index.ts';
import { type SnapshotSetAnswer, snapshotSetAnswer, startedAnswer, startedListAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import { bytes, type Column, time } from '../output.ts';
import { choice, laterTime, tagOf } from './options.ts';
import { startedSession } from './session.ts';

const COLUMNS: readonly Column<SnapshotSetAnswer>[] = [
  { name: 'SNAPSHOT SET', value: (set) => set.name },
  { name: 'MACHINE', value: (set) => set.machineName ?? set.machineId },
  { name: 'KIND', value: (set) => set.kind },
  { name: 'FLAGS', value: (set) => flagLetters(set.flags) || null },
  { name: 'TAKEN', value: (set) => set.takenAt, show: (set) => time(set.takenAt) },
  { name: 'DISKS', value: (set) => set.snapshots.length },
  {
    name: 'SIZE',
    value: (set) => set.diskBytes,
    show: (set) => (set.diskBytes === null ? '-' : bytes(set.diskBytes)),
  },
  { name: 'BASE', value: (set) => set.base, show: (set) => (set.base ? 'yes' : '-') },
  { name: 'EXPIRES', value: (set) => set.expiresAt, show: (set) => time(set.expiresAt) },
  { name: 'WHY', value: (set) => set.why },
];

interface CreateOptions {
  tag?: Readonly<Record<string, string>>;
  copyTags?: boolean;
  resourceGroup?: string;
  expires?: string;
  reason?: string;
  wait?: boolean;
}

interface DeleteOptions {
  machine?: string;
  kind?: string;
  force?: boolean;
  wait?: boolean;
}

const KINDS = ['policy', 'manual', 'temporary', 'orphan'];

export function snapshotCommand(parent: Command, context: Context): void {
  const snapshot = parent
    .command('snapshot')
    .description('snapshots of machines, beside their restore points');

  snapshot
    .command('list')
    .description('list sets of snapshots, newest first, and why they are kept')
    .option('--machine <machine>', 'only of this machine: its name, ARM id or vmId')
    .addOption(choice('--kind <kind>', 'only of this kind', KINDS))
    .action(async (options: { machine?: string; kind?: string }) =>
      printList(
        context,
        COLUMNS,
        await context.api().list('snapshots', snapshotSetAnswer, { ...options }),
        'No such snapshots.',
      ),
    );

  snapshot
    .command('create')
    .description('take snapshots of machines now; no retention removes them before their expiry')
    .argument('<machine...>', 'names, ARM ids or vmIds')
    .option('--tag <name=value>', 'put this tag on them; may be given several times', tagOf)
    .option('--copy-tags', 'put the tags of the disks on them too')
    .option('--resource-group <group>', "where to make them (default: the machine's group)")
    .option('--expires <when>', 'remove them then: a time, or as in 12h, 30d', laterTime(context.clock))
    .option('--reason <text>', 'why; kept with the session')
    .option('--wait', 'follow the sessions to their end, and take the worst exit code')
    .action(async (machines: string[], { tag, expires, wait, ...options }: CreateOptions) => {
      const body = {
        machines,
        ...options,
        ...(tag === undefined ? {} : { tags: tag }),
        ...(expires === undefined ? {} : { expiresAt: expires }),
      };
      const { value } = await context.api().post('snapshots', body, startedListAnswer);
      let worst = context.exitCode;
      for (const started of value) {
        await startedSession(context, started, wait ?? false);
        if (worst === EXIT.ok || context.exitCode === EXIT.failed) worst = context.exitCode;
      }
      context.exitCode = worst;
    });

  snapshot
    .command('delete')
    .description('remove sets of snapshots by name, or those of a machine')
    .argument('[set...]', 'names, as "holdfast snapshot list" shows them')
    .option('--machine <machine>', 'those of this machine')
    .addOption(choice('--kind <kind>', 'with --machine: only of this kind', KINDS))
    .option('--force', 'also the base of the next incremental, whose disks are then read whole once')
    .option('--wait', 'follow the session to its end, and take its exit code')
    .action(async (names: string[], { wait, ...options }: DeleteOptions) => {
      const body = names.length > 0 ? { ...options, names } : options;
      const started = await context.api().post('snapshots/remove', body, startedAnswer);
      await startedSession(context, started, wait ?? false);
    });

  snapshot
    .command('rescan')
    .description('find the snapshots of this installation by their tags, and take up what they say')
    .option('--wait', 'follow the session to its end, and take its exit code')
    .action(async ({ wait }: { wait?: boolean }) => {
      const started = await context.api().post('snapshots/rescan', {}, startedAnswer);
      await startedSession(context, started, wait ?? false);
    });
}
