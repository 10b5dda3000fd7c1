import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HoldfastError } from '../../lib/model/index.ts';
import type { Context } from '../context.ts';
import { openForReading, type RepositoryOptions } from './open.ts';
import { findPoint } from './points.ts';
import type { RepoSurroundings } from './surroundings.ts';

/** Writes what Azure Resource Manager said of the machine when the point was made, as JSON, to stdout or a new file. */
export async function restoreMachineConfig(
  point: string,
  options: RepositoryOptions & { readonly output: string; readonly force?: boolean },
  context: Context,
  around: RepoSurroundings,
): Promise<void> {
  const repository = await openForReading(options, context, around);
  const { manifest } = await findPoint(repository, point);
  const text = `${JSON.stringify(manifest.configuration, null, 2)}\n`;
  if (options.output === '-') {
    context.stdout.write(text);
    return;
  }
  try {
    await writeFile(resolve(around.cwd, options.output), text, { flag: options.force ? 'w' : 'wx' });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw new HoldfastError(
      exists ? 'alreadyExists' : 'invalidInput',
      exists
        ? `${options.output} exists. Choose another name, or give --force.`
        : `${options.output} cannot be written: ${(error as Error).message}.`,
      { target: options.output },
    );
  }
  context.stderr.write(
    `The configuration of ${manifest.configuration.machine.name} is in ${options.output}.\n`,
  );
}
