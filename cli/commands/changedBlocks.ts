import type { Command } from 'commander';
import { resetAnswer } from '../answers.ts';
import { type Context, printOne } from '../context.ts';
import { type Column, time } from '../output.ts';

type Reset = { readonly id: string; readonly changedBlocks: { readonly resetAt: string | null } };

const COLUMNS: readonly Column<Reset>[] = [
  { name: 'POLICY', value: ({ id }) => id },
  {
    name: 'LAST RESET',
    value: ({ changedBlocks }) => changedBlocks.resetAt,
    show: ({ changedBlocks }) => time(changedBlocks.resetAt),
  },
];

/** Adds `reset-cbt` to the commands about policies. */
export function resetChangedBlocksCommand(policy: Command, context: Context): void {
  policy
    .command('reset-cbt')
    .description('have the next backup of each machine of a policy read its disks whole')
    .argument('<policy>', 'id of the policy')
    .action(async (id: string) => {
      const path = `policies/${encodeURIComponent(id)}/resetChangedBlocks`;
      printOne(context, COLUMNS, await context.api().post(path, {}, resetAnswer));
    });
}
