import type { Command } from 'commander';
import { type RepositoryAnswer, repositoryAnswer, startedAnswer } from '../answers.ts';
import { type Context, printOne } from '../context.ts';
import type { Column } from '../output.ts';
import { choice } from './options.ts';
import { startedSession } from './session.ts';

const COLUMNS: readonly Column<RepositoryAnswer>[] = [
  { name: 'REPOSITORY', value: ({ id }) => id },
  { name: 'MODE', value: ({ mode }) => mode },
  { name: 'OWNER', value: ({ owner }) => owner },
  { name: 'SLOTS', value: ({ slots }) => slots.map(({ id }) => id).join(', ') },
  { name: 'META', value: ({ meta }) => meta },
  { name: 'DATA', value: ({ data }) => data },
];
const DEPTHS = ['structure', 'content', 'rolling'] as const;

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
    .option('--wait', 'follow the check to its end, and take its exit code')
    .action((options: { depth: string; wait?: boolean }) =>
      start('check', { depth: options.depth }, options.wait),
    );
  repository
    .command('collect')
    .description('remove what no restore point needs any more, and compact sparse packs')
    .option('--wait', 'follow the collection to its end, and take its exit code')
    .action((options: { wait?: boolean }) => start('collect', {}, options.wait));
  repository
    .command('rescan')
    .description('make the catalog again from the repository')
    .option('--accept <chain...>', 'chains whose older state is accepted')
    .option('--wait', 'follow the rescan to its end, and take its exit code')
    .action((options: { accept?: string[]; wait?: boolean }) =>
      start('rescan', { accept: options.accept ?? [] }, options.wait),
    );
}
