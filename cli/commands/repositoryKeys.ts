import type { Command } from 'commander';
import { type KeySlotAnswer, keySlotAnswer, keySlotsAnswer } from '../answers.ts';
import { type Context, printList, printOne } from '../context.ts';
import type { Column } from '../output.ts';

const COLUMNS: readonly Column<KeySlotAnswer>[] = [
  { name: 'SLOT', value: ({ id }) => id },
  { name: 'KIND', value: ({ kind }) => kind },
  { name: 'KEY', value: ({ key }) => key },
  { name: 'OPENS HERE', value: ({ opensHere }) => opensHere },
];
const CHANGED = COLUMNS.slice(0, 3);

/**
 * The ways into the repository of the service. Passwords are named, never given: they are secrets of the service's vault.
 * `repo keys` does the like offline, with a password that is typed.
 */
export function repositoryKeysCommand(parent: Command, context: Context): void {
  const keys = parent
    .command('keys')
    .description('list, add, change and remove the ways into the repository');
  const command = (name: string, description: string): Command =>
    keys
      .command(name)
      .description(description)
      .option('--repository <name>', 'which repository of the service (default: the one of its settings)');
  const add = (name: string, description: string): Command =>
    command(name, description).option(
      '--open-with <secret>',
      'open the repository with this secret of the vault for once',
    );
  const post = async (path: string, body: object): Promise<void> =>
    printOne(context, CHANGED, await context.api().post(`repository/keys${path}`, body, keySlotAnswer));

  keys
    .command('list')
    .description('list the key slots')
    .action(async () =>
      printList(
        context,
        COLUMNS,
        await context.api().list('repository/keys', keySlotAnswer),
        'No key slots.',
      ),
    );
  add('add', 'add a password or a key of the vault')
    .argument('<slot>', 'a name for it')
    .option('--password-secret <name>', 'secret of the vault with the password')
    .option('--key <name>', 'key of the vault')
    .action((id: string, { key: keyVaultKey, openWith: openWithSecret, ...rest }: AddOptions) =>
      post('', { id, keyVaultKey, openWithSecret, ...rest }),
    );
  command('change', 'change the password of the slot that the old one opens')
    .option(
      '--old-secret <name>',
      'secret with the old password, <name> or <name>/<version> (default: of the settings)',
    )
    .option('--new-secret <name>', 'secret with the new password (default: of the settings)')
    .action((options: Where & { oldSecret?: string; newSecret?: string }) =>
      post('/changePassword', options),
    );
  add('rewrap', 'wrap a slot again with the newest version of its Key Vault key')
    .argument('<slot>', 'the slot')
    .option('--key <name>', 'with this key of the vault instead')
    .action((id: string, { key: keyVaultKey, openWith: openWithSecret, repository }: AddOptions) =>
      post(`/${id}/rewrap`, { keyVaultKey, openWithSecret, repository }),
    );
  add('remove', 'remove a slot; copies of the repository that were made before still open with it')
    .argument('<slot>', 'the slot')
    .action(async (id: string, { openWith: openWithSecret, repository }: AddOptions) => {
      const { value } = await context
        .api()
        .post(`repository/keys/${id}/remove`, { openWithSecret, repository }, keySlotsAnswer);
      printList(context, COLUMNS, value, 'No key slots.');
    });
}

interface Where {
  readonly repository?: string;
}

interface AddOptions extends Where {
  readonly passwordSecret?: string;
  readonly key?: string;
  readonly openWith?: string;
}
