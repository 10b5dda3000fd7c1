import { HoldfastError } from '../../lib/model/index.ts';
import {
  type Chain,
  collect,
  compact,
  listChains,
  openChain,
  planCollection,
  planCompaction,
  readOwner,
  takeOwnership,
} from '../../lib/repository/index.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import { bytes, type Column } from '../output.ts';
import { openForReading, openForWriting, type RepositoryOptions } from './open.ts';
import type { RepoSurroundings } from './surroundings.ts';
import { tolerant } from './tolerant.ts';

export interface GcOptions extends RepositoryOptions {
  readonly dryRun?: boolean;
  readonly compact?: boolean;
  /** Act for this installation; default is the owner that the repository names. */
  readonly installation?: string;
}

/** One thing that a collection would do. */
interface Planned {
  readonly chain: string;
  readonly action: 'remove' | 'compact';
  readonly object: string;
  /** What it frees. */
  readonly bytes: number;
  readonly why: string;
}
const PLANNED: readonly Column<Planned>[] = [
  { name: 'ACTION', value: (row) => row.action },
  { name: 'OBJECT', value: (row) => row.object },
  { name: 'FREES', value: (row) => row.bytes, show: (row) => bytes(row.bytes) },
  { name: 'WHY', value: (row) => row.why },
];

/** What was done to one chain. */
interface Done {
  readonly chain: string;
  readonly machineName: string;
  readonly removed: number;
  readonly removedBytes: number;
  /** Objects that the store would not remove. */
  readonly left: number;
  readonly compacted: number;
  readonly freedLaterBytes: number;
}
const DONE: readonly Column<Done>[] = [
  { name: 'CHAIN', value: (row) => row.chain },
  { name: 'MACHINE', value: (row) => row.machineName },
  { name: 'REMOVED', value: (row) => row.removed },
  { name: 'FREED', value: (row) => row.removedBytes, show: (row) => bytes(row.removedBytes) },
  { name: 'LEFT', value: (row) => row.left },
  { name: 'COMPACTED', value: (row) => row.compacted },
  { name: 'FREED LATER', value: (row) => row.freedLaterBytes, show: (row) => bytes(row.freedLaterBytes) },
];

/** Prints what a collection would remove, and with `compact` which packs it would write anew. Changes nothing. */
export async function planGc(options: GcOptions, context: Context, around: RepoSurroundings): Promise<void> {
  const repository = await openForReading(options, context, around);
  const rows: Planned[] = [];
  const survey = { now: context.clock.now(), signal: context.signal };
  for await (const id of listChains(repository, context.signal)) {
    await tolerant(context, async () => {
      const chain = await openChain(repository, id);
      const { garbage, damage, total } = await planCollection(chain, survey);
      tellDamage(damage, context);
      for (const { name, bytes: size, why } of garbage)
        rows.push({ chain: id, action: 'remove', object: name, bytes: size, why });
      if (total.objects > garbage.length)
        context.stderr.write(
          `${total.objects - garbage.length} more objects of ${id} are left to later runs.\n`,
        );
      if (!options.compact) return;
      const plan = await planCompaction(chain, survey);
      tellDamage(plan.damage, context);
      for (const { name, bytesBefore, bytesAfter, keptBlocks } of plan.packs)
        rows.push({
          chain: id,
          action: 'compact',
          object: name,
          bytes: bytesBefore - bytesAfter,
          why: `only ${keptBlocks} blocks of its pack are needed`,
        });
    });
  }
  printList(context, PLANNED, rows, 'Nothing to remove.');
}

/** Removes what no restore point needs, and with `compact` writes sparse packs anew. `notOwner` unless it acts for the owner. */
export async function runGc(options: GcOptions, context: Context, around: RepoSurroundings): Promise<void> {
  const repository = await openForWriting(options, context, around);
  const owner = await readOwner(repository);
  const installation = options.installation ?? owner?.installation;
  if (installation === undefined) {
    throw new HoldfastError(
      'notOwner',
      `No installation owns the repository in ${repository.meta.name}. Give it one with --installation <name>.`,
    );
  }
  if (!owner) await takeOwnership(repository, { installation, now: context.clock.now() });
  const rows: Done[] = [];
  for await (const id of listChains(repository, context.signal)) {
    await tolerant(context, async () => {
      rows.push(await collectChain(await openChain(repository, id), installation, options, context));
    });
  }
  printList(context, DONE, rows, 'No chains.');
}

async function collectChain(
  chain: Chain,
  installation: string,
  options: GcOptions,
  context: Context,
): Promise<Done> {
  const { signal, clock } = context;
  const execute = { installation, by: 'holdfast repo gc', clock, signal };
  const plan = await planCollection(chain, { signal });
  tellDamage(plan.damage, context);
  context.stderr.write(
    `${chain.id} (${chain.machine.name}): ${plan.total.objects} objects to remove, ${bytes(plan.total.bytes)}\n`,
  );
  const { removed, bytes: removedBytes, left } = await collect(chain, plan, execute);
  const done = { chain: chain.id, machineName: chain.machine.name, removed, removedBytes, left: left.length };
  if (!options.compact) return { ...done, compacted: 0, freedLaterBytes: 0 };
  const compaction = await planCompaction(chain, { signal });
  const { compacted, freedLater, damage } = await compact(chain, compaction, execute);
  tellDamage([...compaction.damage, ...damage], context);
  return { ...done, compacted, freedLaterBytes: freedLater };
}

function tellDamage(
  damage: readonly { readonly object: string; readonly problem: string }[],
  context: Context,
): void {
  if (damage.length > 0) context.exitCode = EXIT.partly;
  for (const { object, problem } of damage) context.stderr.write(`Damaged: ${object}: ${problem}\n`);
}
