import { resolve } from 'node:path';
import { HoldfastError } from '../../lib/model/index.ts';
import { openPoint, type PointManifest } from '../../lib/repository/index.ts';
import { type Context, printOne } from '../context.ts';
import { bytes, type Column } from '../output.ts';
import { ByteMeter } from './byteMeter.ts';
import { type Image, type ImageFormat, imageShape } from './image.ts';
import { ImageFile } from './imageFile.ts';
import { ImageStream } from './imageStream.ts';
import { openForReading, type RepositoryOptions } from './open.ts';
import { findPoint } from './points.ts';
import type { RepoSurroundings } from './surroundings.ts';

export interface RestoreOptions extends RepositoryOptions {
  readonly disk?: number;
  /** A file, or `-` for stdout. */
  readonly output: string;
  readonly format: ImageFormat;
  readonly force?: boolean;
  readonly keep?: boolean;
}

interface Restored {
  readonly restorePoint: string;
  readonly disk: number;
  readonly name: string;
  readonly file: string;
  readonly format: ImageFormat;
  readonly sizeBytes: number;
  /** Bytes of the blocks that came from the repository; the rest are zeros. */
  readonly dataBytes: number;
}

const COLUMNS: readonly Column<Restored>[] = [
  { name: 'RESTORE POINT', value: (row) => row.restorePoint },
  { name: 'DISK', value: (row) => row.disk },
  { name: 'NAME', value: (row) => row.name },
  { name: 'FILE', value: (row) => row.file },
  { name: 'FORMAT', value: (row) => row.format },
  { name: 'SIZE', value: (row) => row.sizeBytes, show: (row) => bytes(row.sizeBytes) },
  { name: 'DATA', value: (row) => row.dataBytes, show: (row) => bytes(row.dataBytes) },
];

/**
 * Restores one disk of a point to an image. Each block is decrypted and compared with its digest before it is written; a
 * block that cannot be had ends the restore. Memory does not grow with the disk.
 */
export async function restoreDisk(
  point: string,
  options: RestoreOptions,
  context: Context,
  around: RepoSurroundings,
): Promise<void> {
  const repository = await openForReading(options, context, around);
  const { chain, manifest } = await findPoint(repository, point);
  const number = chooseDisk(manifest, point, options.disk);
  const open = await (await openPoint(chain, manifest)).disk(number, context.signal);
  const { disk, map } = open;
  const shape = imageShape(manifest, disk, chain.blockBytes, options.format);
  const dataBytes = map.present * chain.blockBytes;
  const image: Image =
    options.output === '-'
      ? new ImageStream(stdoutOf(around), shape)
      : await ImageFile.create(resolve(around.cwd, options.output), shape, {
          force: options.force ?? false,
          keep: options.keep ?? false,
        });
  const meter = new ByteMeter(context.stderr, context.clock, `disk ${number} (${disk.name})`, dataBytes);
  try {
    for await (const run of open.blocks(undefined, context.signal)) {
      await image.write(run);
      meter.add(run.length * chain.blockBytes);
    }
    await image.finish();
  } catch (error) {
    context.stderr.write(`\nThe restore of disk ${number} failed. ${await image.discard()}\n`);
    throw error;
  }
  meter.end();
  if (options.output === '-') return;
  const { name, sizeBytes } = disk;
  const { output: file, format } = options;
  printOne(context, COLUMNS, { restorePoint: point, disk: number, name, file, format, sizeBytes, dataBytes });
}

function chooseDisk({ disks }: PointManifest, point: string, wanted: number | undefined): number {
  const [only] = disks;
  const there = disks.map(({ number, name }) => `${number} (${name})`).join(', ');
  if (wanted === undefined) {
    if (only && disks.length === 1) return only.number;
    throw new HoldfastError('invalidInput', `Which disk of ${point}? Give --disk: ${there}.`);
  }
  if (disks.some(({ number }) => number === wanted)) return wanted;
  throw new HoldfastError('notFound', `The restore point ${point} has no disk ${wanted}: it has ${there}.`, {
    target: point,
  });
}

function stdoutOf({ bytesOut }: RepoSurroundings) {
  const out = bytesOut?.();
  if (!out) throw new HoldfastError('invalidInput', 'There is no stdout to write to.');
  if ('isTTY' in out && out.isTTY) {
    throw new HoldfastError('invalidInput', 'Stdout is a terminal: send the disk to a file or into a pipe.');
  }
  return out;
}
