import type { Command } from 'commander';
import { detachedAnswer, type RepositoryPlaceAnswer, repositoryPlaceAnswer } from '../answers.ts';
import { type Context, printList, printOne } from '../context.ts';
import type { Column } from '../output.ts';
import { count } from './options.ts';

const COLUMNS: readonly Column<RepositoryPlaceAnswer>[] = [
  { name: 'NAME', value: ({ id }) => id },
  { name: 'REPOSITORY', value: ({ repositoryId }) => repositoryId },
  { name: 'ENDPOINT', value: ({ blobEndpoint }) => blobEndpoint },
  {
    name: 'CONTAINERS',
    value: ({ metaContainer, dataContainer }) => `${metaContainer}, ${dataContainer}`,
  },
  { name: 'IMMUTABLE', value: (place) => place.immutabilityDays, show: immutable },
  { name: 'REGION', value: ({ region }) => region },
  { name: 'CHAINS', value: ({ chains }) => chains },
];

interface AddOptions {
  readonly blobEndpoint: string;
  readonly metaContainer?: string;
  readonly dataContainer?: string;
  readonly passwordSecret?: string;
  readonly key?: string;
  readonly immutabilityDays?: number;
  readonly region?: string;
  readonly takeOver?: string;
}

/** The repositories that the service stores backups in. */
export function repositoryPlacesCommand(parent: Command, context: Context): void {
  parent
    .command('list')
    .description('list the repositories of the service')
    .action(async () =>
      printList(
        context,
        COLUMNS,
        await context.api().list('repositories', repositoryPlaceAnswer),
        'No repositories.',
      ),
    );
  parent
    .command('add')
    .description(
      'add a repository, or change what is said of it; it is founded where the containers are empty',
    )
    .argument('<name>', 'its name in the service; policies use it')
    .requiredOption('--blob-endpoint <url>', 'of its storage account')
    .option('--meta-container <name>', 'container of manifests (default: holdfast-meta)')
    .option('--data-container <name>', 'container of packs (default: holdfast-data)')
    .option(
      '--password-secret <name>',
      "secret of the service's vault with its password (default: holdfast-repository-password)",
    )
    .option('--key <name>', "key of the service's vault that opens it instead of a password")
    .option('--immutability-days <days>', 'restore points cannot be removed for so long', count)
    .option('--region <region>', 'where it is')
    .option(
      '--take-over <installation>',
      'take it from this installation, which owns it and is stopped by that',
    )
    .action(async (name: string, { key, takeOver, ...options }: AddOptions) => {
      const body = { ...options, ...(key === undefined ? {} : { keyVaultKey: key }) };
      const query = takeOver === undefined ? '' : `?takeOver=${encodeURIComponent(takeOver)}`;
      const path = `repositories/${encodeURIComponent(name)}${query}`;
      printOne(context, COLUMNS, await context.api().put(path, body, repositoryPlaceAnswer));
    });
  parent
    .command('remove')
    .description('take a repository out of the service; what it holds is kept')
    .argument('<name>', 'its name in the service')
    .action(async (name: string) => {
      const path = `repositories/${encodeURIComponent(name)}`;
      const { points } = await context.api().delete(path, detachedAnswer);
      context.stderr.write(
        `Repository ${name} was removed from the service; its ${points} restore points stay in it.\n`,
      );
    });
}

function immutable({ immutabilityDays }: RepositoryPlaceAnswer): string {
  return immutabilityDays === 0 ? 'no' : `${immutabilityDays} days`;
}
