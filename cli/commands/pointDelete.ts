import type { Command } from 'commander';
import { HoldfastError } from '../../lib/model/index.ts';
import { type RemovalPlanAnswer, removalPlanAnswer, startedAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import { bytes, type Column, time } from '../output.ts';
import { choice, pointName } from './options.ts';
import { startedSession } from './session.ts';

interface Options {
  machine?: string;
  all?: boolean;
  snapshots?: 'all' | 'policy' | 'manual';
  dryRun?: boolean;
  yes?: boolean;
  wait?: boolean;
}

/** A restore point or a snapshot of a plan. */
interface Item {
  readonly what: string;
  readonly name: string;
  readonly takenAt: string | null;
  readonly storedBytes: number | null;
  readonly verdict: string;
  readonly why: string | null;
}

const COLUMNS: readonly Column<Item>[] = [
  { name: 'WHAT', value: ({ what }) => what },
  { name: 'NAME', value: ({ name }) => name },
  { name: 'TAKEN', value: ({ takenAt }) => takenAt, show: ({ takenAt }) => time(takenAt) },
  {
    name: 'STORED',
    value: ({ storedBytes }) => storedBytes,
    show: ({ storedBytes }) => (storedBytes === null ? '-' : bytes(storedBytes)),
  },
  { name: 'VERDICT', value: ({ verdict }) => verdict },
  { name: 'WHY', value: ({ why }) => why },
];

const itemsOf = ({ points, snapshots }: RemovalPlanAnswer): Item[] => [
  ...points.map((point) => ({ what: 'restore point', ...point })),
  ...snapshots.map(({ id, ...snapshot }) => ({
    what: `${snapshot.origin} snapshot`,
    name: id,
    storedBytes: null,
    ...snapshot,
  })),
];

export function addDelete(point: Command, context: Context): void {
  point
    .command('delete')
    .description('remove restore points, and snapshots of a machine')
    .argument('[points...]', 'names of restore points: <chain>/<sequence>')
    .option('--machine <machine>', 'of this machine: its name, ARM id or vmId')
    .option('--all', 'all restore points of the machine')
    .addOption(choice('--snapshots <which>', 'snapshots of the machine too', ['all', 'policy', 'manual']))
    .option('--dry-run', 'only show what would go, and what stays and why')
    .option('--yes', 'do it: without it only the plan is shown')
    .option('--wait', 'follow each removal to its end')
    .action(async (names: string[], options: Options) => {
      const points = names.map(pointName);
      if (options.machine !== undefined) return ofMachine(context, options.machine, points, options);
      if (points.length === 0 || options.all || options.snapshots)
        throw new HoldfastError('invalidInput', 'Name restore points, or a machine with --machine.');
      for (const name of points) await remove(context, name, options);
    });
}

async function ofMachine(
  context: Context,
  machine: string,
  names: readonly string[],
  options: Options,
): Promise<void> {
  const points = options.all ? 'all' : names.length > 0 ? names : 'none';
  const { snapshots = 'none' } = options;
  if (points === 'none' && snapshots === 'none')
    throw new HoldfastError('invalidInput', 'Say what is to go: restore points, --all, or --snapshots.');
  const path = `machines/${encodeURIComponent(machine)}/removals`;
  const body = { points, snapshots };
  if (!options.yes || options.dryRun)
    return show(
      context,
      await context.api().post(path, { ...body, dryRun: true }, removalPlanAnswer),
      options,
    );
  const started = await context.api().post(path, body, startedAnswer);
  await startedSession(context, started, options.wait === true);
}

async function remove(context: Context, name: string, options: Options): Promise<void> {
  const path = `restorePoints/${name}`;
  if (!options.yes || options.dryRun)
    return show(context, await context.api().delete(path, removalPlanAnswer, { dryRun: 'true' }), options);
  await startedSession(context, await context.api().delete(path, startedAnswer), options.wait === true);
}

function show(context: Context, plan: RemovalPlanAnswer, { dryRun }: Options): void {
  printList(context, COLUMNS, itemsOf(plan), 'There is nothing to remove.');
  for (const consequence of plan.consequences) context.stderr.write(`${consequence}\n`);
  if (dryRun) return;
  context.stderr.write('Nothing was removed. To do it, add --yes.\n');
  context.exitCode = EXIT.usage;
}
