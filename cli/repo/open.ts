import { isHoldfastError } from '../../lib/model/index.ts';
import {
  type OpenRepository,
  openFromChain,
  openRepository,
  type Repository,
  type Unlock,
} from '../../lib/repository/index.ts';
import type { Context } from '../context.ts';
import { type Containers, findContainers, type LocationOptions } from './location.ts';
import { askPassword, givenPassword } from './password.ts';
import { ReadingStore } from './readingStore.ts';
import type { RepoSurroundings } from './surroundings.ts';

export interface RepositoryOptions extends LocationOptions {
  readonly passwordFile?: string;
}

/**
 * What opens the repository: the password that was given, else nothing where the repository says that it is not encrypted,
 * else a password that is asked for. A password for an unencrypted repository is refused: it may not be the one that is meant.
 */
export async function findUnlock(
  { meta, data }: Containers,
  options: RepositoryOptions,
  context: Context,
  around: RepoSurroundings,
): Promise<Unlock> {
  const password = await givenPassword(options.passwordFile, around);
  if (password !== null) return { password };
  try {
    await openSomehow({ meta, data, unlock: { mode: 'none' } }, () => undefined);
    context.stderr.write('This repository is not encrypted: accidents are found, forgery is not.\n');
    return { mode: 'none' };
  } catch (error) {
    if (!isHoldfastError(error, 'repositoryMismatch')) throw error;
    return { password: await askPassword(meta.name, context, around) };
  }
}

/** The repository, for reading: nothing that is done with it changes it. `onRead` learns how many bytes were read. */
export async function openForReading(
  options: RepositoryOptions,
  context: Context,
  around: RepoSurroundings,
  onRead?: (bytes: number) => void,
): Promise<Repository> {
  const found = await findContainers(options, around);
  const containers = {
    meta: new ReadingStore(found.meta, onRead),
    data: new ReadingStore(found.data, onRead),
  };
  const unlock = await findUnlock(containers, options, context, around);
  return openSomehow({ ...containers, unlock }, (text) => context.stderr.write(text));
}

/** The repository as it is, for what changes it. Its descriptor must be there. */
export async function openForWriting(
  options: RepositoryOptions,
  context: Context,
  around: RepoSurroundings,
): Promise<Repository> {
  return openRepository(await findWritable(options, context, around));
}

/** What changes the key slots works with: the containers, and what opens them. */
export async function findWritable(
  options: RepositoryOptions,
  context: Context,
  around: RepoSurroundings,
): Promise<OpenRepository> {
  const containers = await findContainers(options, around);
  return { ...containers, unlock: await findUnlock(containers, options, context, around) };
}

/** Opens the repository; where its descriptor is lost or damaged, with the copy of the key slots that a chain carries. */
async function openSomehow(request: OpenRepository, tell: (text: string) => void): Promise<Repository> {
  try {
    return await openRepository(request);
  } catch (error) {
    const lost = isHoldfastError(error, 'missingObject') || isHoldfastError(error, 'corruptObject');
    if (!lost) throw error;
    const { repository, chain } = await openFromChain(request);
    tell(`${error.message} Going on with the key slots that the chain ${chain} carries.\n`);
    return repository;
  }
}
