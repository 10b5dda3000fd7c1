import type { Command } from 'commander';
import { type PolicyAnswer, policyAnswer, startedAnswer } from '../answers.ts';
import { type Context, printList, printOne } from '../context.ts';
import type { Column } from '../output.ts';
import { startedSession } from './session.ts';

const scope = ({ scope }: PolicyAnswer): string =>
  [...scope.subscriptions, ...scope.resourceGroups, ...scope.machines]
    .map((id) => id.replace(/^.*\//, ''))
    .join(', ') || 'nothing';

const COLUMNS: readonly Column<PolicyAnswer>[] = [
  { name: 'POLICY', value: (policy) => policy.id },
  { name: 'ENABLED', value: (policy) => policy.enabled, show: (policy) => (policy.enabled ? 'yes' : 'no') },
  { name: 'TIME ZONE', value: (policy) => policy.calendar?.timeZone ?? null },
  { name: 'SCOPE', value: scope },
  { name: 'KEEP POINTS', value: (policy) => JSON.stringify(policy.retention.keep) },
  { name: 'KEEP SNAPSHOTS', value: (policy) => JSON.stringify(policy.snapshots.retention.keep) },
  { name: 'MOVER', value: (policy) => policy.mover },
];

export function policyCommand(parent: Command, context: Context): void {
  const policy = parent.command('policy').description('what to protect, when, and how long to keep it');
  policy
    .command('list')
    .description('list the policies')
    .action(async () =>
      printList(context, COLUMNS, await context.api().list('policies', policyAnswer), 'No policies yet.'),
    );
  policy
    .command('show')
    .description('show a policy')
    .argument('<policy>', 'id of the policy')
    .action(async (id: string) =>
      printOne(context, COLUMNS, await context.api().get(`policies/${encodeURIComponent(id)}`, policyAnswer)),
    );
  policy
    .command('start')
    .description('run a policy now, outside its schedule')
    .argument('<policy>', 'id of the policy')
    .option('--wait', 'follow the run to its end, and take its exit code')
    .action(async (id: string, options: { wait?: boolean }) => {
      const path = `policies/${encodeURIComponent(id)}/start`;
      await startedSession(context, await context.api().post(path, {}, startedAnswer), options.wait ?? false);
    });
}
