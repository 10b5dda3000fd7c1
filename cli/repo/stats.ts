import { type ChainStatistics, chainStatistics, listChains, openChain } from '../../lib/repository/index.ts';
import { type Context, printList } from '../context.ts';
import { bytes, type Column } from '../output.ts';
import { openForReading, type RepositoryOptions } from './open.ts';
import type { RepoSurroundings } from './surroundings.ts';
import { tolerant } from './tolerant.ts';

type Row = ChainStatistics & { readonly machineName: string };

const size = (name: string, value: (row: Row) => number): Column<Row> => ({
  name,
  value,
  show: (row) => bytes(value(row)),
});
const COLUMNS: readonly Column<Row>[] = [
  { name: 'CHAIN', value: (row) => row.chain },
  { name: 'MACHINE', value: (row) => row.machineName },
  { name: 'POINTS', value: (row) => row.points.length },
  { name: 'PACKS', value: (row) => row.packs.count },
  size('STORED', (row) => row.packs.bytes),
  size('LIVE', (row) => row.liveBytes),
  size('SHARED', (row) => row.sharedBytes),
  size('DEAD', (row) => row.deadBytes),
  size('UNDER WAY', (row) => row.undecidedBytes),
  size('METADATA', (row) => row.mapBytes + row.treeBytes),
];

/** Prints what each chain holds: bytes that points need, that several share, and that collection can free. */
export async function printStatistics(
  options: RepositoryOptions,
  context: Context,
  around: RepoSurroundings,
): Promise<void> {
  const repository = await openForReading(options, context, around);
  const rows: Row[] = [];
  for await (const id of listChains(repository, context.signal)) {
    await tolerant(context, async () => {
      const chain = await openChain(repository, id);
      // A probe of the store's clock would be a write. Only what is young enough to be kept depends on it.
      const statistics = await chainStatistics(chain, { now: context.clock.now(), signal: context.signal });
      rows.push({ machineName: chain.machine.name, ...statistics });
    });
  }
  printList(context, COLUMNS, rows, 'No chains.');
}
