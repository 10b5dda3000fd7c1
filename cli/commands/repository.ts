import type { Command } from 'commander';
import {
  type AdoptionPreview,
  adoptionPreviewAnswer,
  type RepositoryAnswer,
  repositoryAnswer,
  startedAnswer,
} from '../answers.ts';
import { type Context, printOne } from '../context.ts';
import type { Column } from '../output.ts';
import { choice } from './options.ts';
import { repositoryKeysCommand } from './repositoryKeys.ts';
import { repositoryPlacesCommand } from './repositoryPlaces.ts';
import { startedSession } from './session.ts';

const COLUMNS: readonly Column<RepositoryAnswer>[] = [
  { name: 'REPOSITORY', value: ({ id }) => id },
  { name: 'MODE', value: ({ mode }) => mode },
  { name: 'OWNER', value: ({ owner }) => owner },
  { name: 'OWNER SEEN', value: ({ ownerSeenAt }) => ownerSeenAt ?? null },
  { name: 'SLOTS', value: ({ slots }) => slots.map(({ id }) => id).join(', ') },
  { name: 'META', value: ({ meta }) => meta },
  { name: 'DATA', value: ({ data }) => data },
];
const ADOPTION: readonly Column<AdoptionPreview>[] = [
  { name: 'REPOSITORY', value: ({ id }) => id },
  { name: 'MODE', value: ({ mode }) => mode },
  { name: 'OWNER', value: ({ owner }) => owner && owner.installation },
  { name: 'OWNER SINCE', value: ({ owner }) => owner && owner.since },
  { name: 'OWNER SEEN', value: ({ owner }) => owner && owner.seenAt },
  { name: 'NEEDS TAKE-OVER', value: ({ needsTakeOver }) => needsTakeOver },
  { name: 'REPLACES', value: ({ replaces }) => replaces },
];
const WHICH = [
  '--repository <name>',
  'which repository of the service (default: the one of its settings)',
] as const;
const DEPTHS = ['structure', 'content', 'rolling'] as const;

interface AdoptOptions {
  readonly passwordSecret?: string;
  readonly takeOver?: string;
  readonly recover?: boolean;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
}

/** What the service does with the repository as a whole. `repo` does the like offline, with nothing but the password. */
export function repositoryCommand(parent: Command, context: Context): void {
  const repository = parent
    .command('repository')
    .description('check, collect and rescan the repository of the service');
  const start = async (what: string, body: object, wait = false) =>
    startedSession(context, await context.api().post(`repository/${what}`, body, startedAnswer), wait);
  repository
    .command('show')
    .description('show the repository')
    .action(async () => printOne(context, COLUMNS, await context.api().get('repository', repositoryAnswer)));
  repository
    .command('check')
    .description('verify the repository; damage is marked at the restore points that it affects')
    .addOption(choice('--depth <depth>', 'how deep to look', DEPTHS).default('structure'))
    .option(...WHICH)
    .option('--wait', 'follow the check to its end, and take its exit code')
    .action(({ wait, ...options }: { depth: string; repository?: string; wait?: boolean }) =>
      start('check', options, wait),
    );
  repository
    .command('collect')
    .description('remove what no restore point needs any more, and compact sparse packs')
    .option(...WHICH)
    .option('--wait', 'follow the collection to its end, and take its exit code')
    .action(({ wait, ...options }: { repository?: string; wait?: boolean }) =>
      start('collect', options, wait),
    );
  repository
    .command('rescan')
    .description('make the catalog again from the repository')
    .option('--accept <chain...>', 'chains whose older state is accepted')
    .option(...WHICH)
    .option('--wait', 'follow the rescan to its end, and take its exit code')
    .action(({ wait, accept = [], ...options }: { accept?: string[]; repository?: string; wait?: boolean }) =>
      start('rescan', { accept, ...options }, wait),
    );
  repository
    .command('adopt')
    .description('become the owner of the repository in the containers of the settings, and rescan it')
    .option(
      '--password-secret <name>',
      'secret of the vault with its password (default: the one of the settings)',
    )
    .option(
      '--take-over <installation>',
      'take it from this installation, which owns it and is stopped by that',
    )
    .option('--recover', 'make a lost or damaged descriptor again from what the chains carry')
    .option('--dry-run', 'only say what there is to adopt, whose it is and when that one was last seen')
    .option('--wait', 'follow the rescan to its end, and take its exit code')
    .action(async ({ wait, ...options }: AdoptOptions) => {
      if (!options.dryRun) return start('adopt', options, wait);
      const found = await context.api().post('repository/adopt', options, adoptionPreviewAnswer);
      context.stderr.write(`${found.protection}\n`);
      printOne(context, ADOPTION, found);
    });
  repositoryKeysCommand(repository, context);
  repositoryPlacesCommand(repository, context);
}
