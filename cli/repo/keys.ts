import type { Command } from 'commander';
import { HoldfastError } from '../../lib/model/index.ts';
import {
  addSlot,
  changePassword,
  inspectSlots,
  removeSlot,
  type Slot,
  type SlotChange,
} from '../../lib/repository/index.ts';
import { type Context, printList } from '../context.ts';
import type { Column } from '../output.ts';
import { findWritable, type RepositoryOptions } from './open.ts';
import { newPassword } from './password.ts';
import type { RepoSurroundings } from './surroundings.ts';

interface NewOptions extends RepositoryOptions {
  readonly newPasswordFile?: string;
}

/** A slot without anything of its secret. */
interface Row {
  readonly id: string;
  readonly kind: string;
  readonly key: string | null;
  /** The password that was given opens this one. */
  readonly opened: boolean;
}
const COLUMNS: readonly Column<Row>[] = [
  { name: 'SLOT', value: (row) => row.id },
  { name: 'KIND', value: (row) => row.kind },
  { name: 'KEY', value: (row) => row.key },
  { name: 'OPENED', value: (row) => row.opened },
];
const NEW_PASSWORD = [
  '--new-password-file <file>',
  'file with it (or HOLDFAST_REPOSITORY_NEW_PASSWORD)',
] as const;

/**
 * `holdfast repo keys`: the ways into a repository, with nothing but the repository and one of its passwords. Key Vault slots
 * are shown and can be removed; the service adds them (`holdfast repository keys add --key`).
 */
export function repoKeysCommand(
  keys: Command,
  add: (parent: Command, name: string, description: string) => Command,
  context: Context,
  around: RepoSurroundings,
): void {
  add(keys, 'list', 'list the key slots').action(async (options: RepositoryOptions) => {
    const { repository, slot } = await inspectSlots(await findWritable(options, context, around));
    print(context, repository.slots, slot);
  });

  add(keys, 'add', 'add a password')
    .argument('<slot>', 'a name for it: a-z, 0-9 and -')
    .option(...NEW_PASSWORD)
    .action(async (id: string, options: NewOptions) => {
      checkId(id);
      const request = await findWritable(options, context, around);
      const password = await newPassword(options.newPasswordFile, context, around);
      tell(context, await addSlot({ ...request, id, material: { password } }), `Added the password "${id}".`);
    });

  add(keys, 'change', 'change the password that is given')
    .option(...NEW_PASSWORD)
    .action(async (options: NewOptions) => {
      const { unlock, ...request } = await findWritable(options, context, around);
      if (!('password' in unlock)) throw unencrypted(request.meta.name);
      const password = await newPassword(options.newPasswordFile, context, around);
      const change = await changePassword({ ...request, unlock, newPassword: password });
      tell(context, change, `Changed the password "${change.slot?.id}".`);
    });

  add(keys, 'remove', 'remove a way in; never the last one')
    .argument('<slot>', 'its name, as "repo keys list" shows it')
    .action(async (id: string, options: RepositoryOptions) => {
      const change = await removeSlot({ ...(await findWritable(options, context, around)), id });
      if (!change.slot) {
        throw new HoldfastError('notFound', `There is no key slot "${id}"; "repo keys list" shows them.`, {
          target: id,
        });
      }
      tell(context, change, `Removed the key slot "${id}".`);
    });
}

function tell(context: Context, { repository, changed }: SlotChange, done: string): void {
  context.stderr.write(changed ? `${done}\n` : 'It was so already; nothing was changed.\n');
  if (changed) {
    context.stderr.write(
      'Copies of the repository keep the old key slots, and so do chains that began before. A service that opened it with what was changed needs the new secret in its vault.\n',
    );
  }
  print(context, repository.slots, null);
}

function print(context: Context, slots: readonly Slot[], opener: Slot | null): void {
  const rows = slots.map((slot) => ({
    id: slot.id,
    kind: slot.kind,
    key: slot.kind === 'keyVault' ? slot.key : null,
    opened: slot.id === opener?.id,
  }));
  const columns = opener ? COLUMNS : COLUMNS.slice(0, 3);
  printList(context, columns, rows, 'No key slots.');
}

function checkId(id: string): void {
  if (/^[0-9a-z-]{1,40}$/.test(id)) return;
  throw new HoldfastError('invalidInput', `"${id}" cannot name a key slot: 1 to 40 of a-z, 0-9 and -.`, {
    target: id,
  });
}

const unencrypted = (where: string): HoldfastError =>
  new HoldfastError('unsupported', `The repository in ${where} is not encrypted and has no passwords.`, {
    target: where,
  });
