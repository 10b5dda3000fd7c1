import {
  type CatalogWriter,
  type ChainEndFact,
  type MachineFact,
  type RememberedRepository,
  rescan,
} from '../../lib/repository/index.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import type { Column } from '../output.ts';
import { openForReading, type RepositoryOptions } from './open.ts';
import type { RepoSurroundings } from './surroundings.ts';

interface Found extends Pick<ChainEndFact, 'newest' | 'points' | 'damaged' | 'open'> {
  readonly chain: string;
  readonly machineName: string;
  readonly removed: readonly number[];
}

const numbers = (list: readonly number[]): string | null => (list.length > 0 ? list.join(' ') : null);
const COLUMNS: readonly Column<Found>[] = [
  { name: 'CHAIN', value: (row) => row.chain },
  { name: 'MACHINE', value: (row) => row.machineName },
  { name: 'POINTS', value: (row) => row.points.length },
  { name: 'NEWEST', value: (row) => row.newest },
  { name: 'REMOVED', value: (row) => row.removed.length },
  { name: 'UNDER WAY', value: (row) => numbers(row.open) },
  { name: 'DAMAGED', value: (row) => numbers(row.damaged) },
];

/** Prints what a rescan would bring into a catalog that remembers nothing. Changes nothing. */
export async function printRescan(
  options: RepositoryOptions,
  context: Context,
  around: RepoSurroundings,
): Promise<void> {
  const repository = await openForReading(options, context, around);
  const rows: Found[] = [];
  const machines: MachineFact[] = [];
  const removed = new Map<string, number[]>();
  let known: RememberedRepository | null = null;
  const nothing = () => Promise.resolve();
  const writer: CatalogWriter = {
    repository: async (fact) => {
      known = fact;
    },
    chain: nothing,
    point: nothing,
    removed: async ({ chain, sequence }) => {
      removed.set(chain.id, [...(removed.get(chain.id) ?? []), sequence]);
    },
    chainEnd: async ({ chain, newest, points, damaged, open }) => {
      const { id, machine } = chain;
      const gone = removed.get(id) ?? [];
      rows.push({ chain: id, machineName: machine.name, newest, points, removed: gone, open, damaged });
    },
    machine: async (fact) => {
      machines.push(fact);
    },
    lost: nothing,
  };
  const result = await rescan(repository, { writer, signal: context.signal });
  for (const { object, problem } of result.findings) context.stderr.write(`Damaged: ${object}: ${problem}\n`);
  context.stderr.write(`${result.chains} chains, ${result.points} restore points. ${result.protection}\n`);
  if (context.format === 'json') {
    const { findings } = result;
    const all = { repository: known, chains: rows, machines, findings };
    context.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  } else printList(context, COLUMNS, rows, 'No chains.');
  if (!result.complete) context.exitCode = EXIT.partly;
}
