import { restorePointName } from '../../lib/model/index.ts';
import { describePoint, type PointManifest, type Repository } from '../../lib/repository/index.ts';
import { POINT_COLUMNS } from '../commands/point.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import { bytes, type Column } from '../output.ts';
import { findPoint, readChains } from './points.ts';

type Disk = PointManifest['disks'][number];

const size = (name: string, value: (disk: Disk) => number): Column<Disk> => ({
  name,
  value,
  show: (disk) => bytes(value(disk)),
});
const DISKS: readonly Column<Disk>[] = [
  { name: 'DISK', value: (disk) => disk.number },
  { name: 'NAME', value: (disk) => disk.name },
  { name: 'ROLE', value: (disk) => disk.role },
  { name: 'LUN', value: (disk) => disk.lun },
  size('SIZE', (disk) => disk.sizeBytes),
  size('DATA', (disk) => disk.allocatedBytes),
  size('READ', (disk) => disk.readBytes),
  size('STORED', (disk) => disk.storedBytes),
  { name: 'READ REASON', value: (disk) => disk.readReason },
];

/** Prints all restore points, chain by chain, oldest first: what `holdfast point list` shows, from the objects alone. */
export async function listPoints(
  repository: Repository,
  machine: string | undefined,
  context: Context,
): Promise<void> {
  const rows = [];
  const onDamage = (error: Error) => {
    context.exitCode = EXIT.partly;
    context.stderr.write(`holdfast: ${error.message}\n`);
  };
  for await (const { chain, points } of readChains(repository, onDamage, context.signal)) {
    const { id, name } = chain.machine;
    if (machine !== undefined && machine !== id && machine.toLowerCase() !== name.toLowerCase()) continue;
    if (points.length === 0)
      context.stderr.write(`The chain ${chain.id} of ${name} has no restore points.\n`);
    rows.push(...points.map(describePoint));
  }
  printList(context, POINT_COLUMNS, rows, 'No restore points.');
}

/** Prints the disks of one restore point. */
export async function listDisks(repository: Repository, name: string, context: Context): Promise<void> {
  const { manifest } = await findPoint(repository, name);
  const point = describePoint(manifest);
  context.stderr.write(
    `${restorePointName(point)}: ${point.kind} of ${point.machineName}, taken ${point.takenAt}\n`,
  );
  printList(context, DISKS, manifest.disks, 'The restore point has no disks.');
}
