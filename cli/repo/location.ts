import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HoldfastError } from '../../lib/model/index.ts';
import { type BlobStore, FolderBlobStore } from '../../lib/repository/index.ts';
import type { RepoSurroundings } from './surroundings.ts';

/** The two containers of a repository. */
export interface Containers {
  readonly meta: BlobStore;
  readonly data: BlobStore;
}

/** Where a container is: plain data, which another thread can open too. A URL has its SAS: a secret. */
export type Place = { readonly folder: string } | { readonly url: string };

export interface FoundContainers extends Containers {
  readonly dataPlace: Place;
}

export interface LocationOptions {
  readonly repository?: string;
  readonly data?: string;
}

/** How the two folders are called below the folder of a repository: as in the format, or as the containers were copied. */
const PAIRS = [
  ['meta', 'data'],
  ['holdfast-meta', 'holdfast-data'],
] as const;
const isUrl = (text: string): boolean => /^https?:\/\//i.test(text);

/**
 * The containers that were named: `--repository` is the URL of the meta container with its SAS and `--data` that of the
 * data container, or a local folder that holds a folder for each; in the environment HOLDFAST_REPOSITORY and
 * HOLDFAST_REPOSITORY_DATA. No message ever holds the query of a URL.
 */
export async function findContainers(
  options: LocationOptions,
  { env, cwd }: RepoSurroundings,
): Promise<FoundContainers> {
  const given = options.repository ?? env.HOLDFAST_REPOSITORY;
  const data = options.data ?? (options.repository === undefined ? env.HOLDFAST_REPOSITORY_DATA : undefined);
  if (!given) {
    throw new HoldfastError(
      'invalidInput',
      'Which repository? Name it with --repository: a folder, or the URL of the meta container with a SAS (or set HOLDFAST_REPOSITORY).',
    );
  }
  if (isUrl(given)) {
    if (!data) {
      throw new HoldfastError(
        'invalidInput',
        'A repository in storage has two containers: name the data container with --data (or HOLDFAST_REPOSITORY_DATA), with its SAS.',
      );
    }
    return withPlace(await container(given, cwd), await container(data, cwd));
  }
  const folder = resolve(cwd, given);
  if (data) return withPlace(await container(given, cwd), await container(data, cwd));
  for (const [meta, data] of PAIRS) {
    if ((await isFolder(join(folder, meta))) && (await isFolder(join(folder, data)))) {
      return withPlace(inFolder(join(folder, meta)), inFolder(join(folder, data)));
    }
  }
  const names = PAIRS.map((pair) => pair.join(' and ')).join(', or ');
  throw new HoldfastError(
    'notFound',
    (await isFolder(folder))
      ? `${given} holds no repository: it should have the folders ${names}. If they have other names, give the first with --repository and the second with --data.`
      : `There is no folder ${given}.`,
    { target: given },
  );
}

interface Opened {
  readonly store: BlobStore;
  readonly place: Place;
}

const inFolder = (folder: string): Opened => ({ store: new FolderBlobStore(folder), place: { folder } });

const withPlace = (meta: Opened, data: Opened): FoundContainers => ({
  meta: meta.store,
  data: data.store,
  dataPlace: data.place,
});

/** A container by its URL, or a folder. */
async function container(given: string, cwd: string): Promise<Opened> {
  if (!isUrl(given)) {
    const folder = resolve(cwd, given);
    if (await isFolder(folder)) return inFolder(folder);
    throw new HoldfastError('notFound', `There is no folder ${given}.`, { target: given });
  }
  if (!URL.canParse(given)) throw new HoldfastError('invalidInput', 'The URL of a container is malformed.');
  // The SDK takes a while to load: a local folder does without.
  const { AzureBlobStore } = await import('../../lib/azure/blobs.ts');
  return { store: AzureBlobStore.withSas(given), place: { url: given } };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
