import { type Command, Option } from 'commander';
import { stringify } from 'yaml';
import { z } from 'zod';
import { HoldfastError } from '../../lib/model/index.ts';
import {
  type FindingAnswer,
  importAnswer,
  machineAnswer,
  policyAnswer,
  policyDiffAnswer,
  startedAnswer,
  type ValidationAnswer,
  validationAnswer,
} from '../answers.ts';
import { type Context, printList, printOne } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import type { RepoSurroundings } from '../repo/surroundings.ts';
import { resetChangedBlocksCommand } from './changedBlocks.ts';
import { addCompliance } from './compliance.ts';
import { addEstimate } from './estimate.ts';
import { MACHINES } from './machine.ts';
import { DIFFERENCES, FINDINGS, IMPORTED, POLICIES, POLICY } from './policyColumns.ts';
import { editPolicy } from './policyEdit.ts';
import { idIn, readPolicies, readPolicy } from './policyFiles.ts';
import { type Assignment, assignmentOf, removalOf } from './policyPath.ts';
import { startedSession } from './session.ts';

const pathOf = (id: string): string => `policies/${encodeURIComponent(id)}`;
const FILE = 'JSON or YAML; - for standard input';

export function policyCommand(parent: Command, context: Context, around: RepoSurroundings): void {
  const policy = parent.command('policy').description('what to protect, when, and how long to keep it');
  looking(policy, context);
  writing(policy, context, around);
  documents(policy, context, around);
  running(policy, context);
  resetChangedBlocksCommand(policy, context);
  addEstimate(policy, context, around);
  addCompliance(policy, context);
}

function looking(policy: Command, context: Context): void {
  policy
    .command('list')
    .description('list the policies')
    .action(async () =>
      printList(context, POLICIES, await context.api().list('policies', policyAnswer), 'No policies yet.'),
    );
  policy
    .command('show')
    .description('show a policy')
    .argument('<policy>', 'id of the policy')
    .action(async (id: string) =>
      printOne(context, POLICY, await context.api().get(pathOf(id), policyAnswer)),
    );
  policy
    .command('machines')
    .description('list the machines that belong to a policy, and whether they are protected')
    .argument('<policy>', 'id of the policy')
    .action(async (id: string) =>
      printList(
        context,
        MACHINES,
        await context.api().list(`${pathOf(id)}/machines`, machineAnswer),
        'No machine belongs to it.',
      ),
    );
}

function writing(policy: Command, context: Context, around: RepoSurroundings): void {
  policy
    .command('create')
    .description('store the policy of a file')
    .argument('<file>', FILE)
    .option('--replace', 'also over a policy of that id')
    .action(async (file: string, { replace = false }: { replace?: boolean }) => {
      const document = await readPolicy(file, around);
      const condition = replace ? undefined : ({ 'if-none-match': '*' } as const);
      const stored = await context.api().put(pathOf(idIn(document)), document, policyAnswer, condition);
      printOne(context, POLICY, stored);
    });
  policy
    .command('edit')
    .description('change a policy in $EDITOR, or by --set and --unset')
    .argument('<policy>', 'id of the policy')
    .option(
      '--set <path=value>',
      'a value (YAML) for a place: retention.keep.daily={points: 7}',
      assignmentOf,
    )
    .option('--unset <path>', 'what is usual for a place', removalOf)
    .action(async (id: string, options: { set?: readonly Assignment[]; unset?: readonly Assignment[] }) => {
      const changes = [...(options.unset ?? []), ...(options.set ?? [])];
      const stored = await editPolicy(context, around, id, changes);
      if (stored) printOne(context, POLICY, stored);
      else context.stderr.write('Nothing was changed.\n');
    });
  policy
    .command('delete')
    .description('remove a policy; its restore points stay as long as they say themselves')
    .argument('<policy>', 'id of the policy')
    .action(async (id: string) => {
      await context.api().delete(pathOf(id), z.unknown());
      context.stderr.write(`Policy ${id} is removed; its machines belong to whichever policy comes next.\n`);
    });
  for (const verb of ['enable', 'disable'] as const) {
    policy
      .command(verb)
      .description(verb === 'enable' ? 'let a policy run by its schedule' : 'stop its schedule; runs go on')
      .argument('<policy>', 'id of the policy')
      .action(async (id: string) =>
        printOne(context, POLICY, await context.api().post(`${pathOf(id)}/${verb}`, {}, policyAnswer)),
      );
  }
}

function documents(policy: Command, context: Context, around: RepoSurroundings): void {
  policy
    .command('export')
    .description('write policies as a document that "import" takes')
    .argument('[policies...]', 'ids; all when left out')
    .addOption(new Option('--format <format>', 'of the document').choices(['yaml', 'json']).default('yaml'))
    .action(async (ids: string[], { format }: { format: string }) => {
      const all = await context.api().get('policies', exportAnswer, { format: 'json' });
      const missing = ids.find((id) => !all.policies.some((one) => one.id === id));
      if (missing) throw new HoldfastError('notFound', `There is no policy ${missing}.`, { target: missing });
      const policies = ids.length === 0 ? all.policies : all.policies.filter(({ id }) => ids.includes(id));
      const document = { policies };
      context.stdout.write(
        format === 'yaml' ? stringify(document) : `${JSON.stringify(document, null, 2)}\n`,
      );
    });
  policy
    .command('import')
    .description('store the policies of files: all of them, or none')
    .argument('<files...>', FILE)
    .option('--dry-run', 'only say what would change')
    .action(async (files: string[], options: { dryRun?: boolean }) => {
      const policies = [];
      for (const file of files) policies.push(...(await readPolicies(file, around)));
      const body = { policies, dryRun: options.dryRun ?? false };
      const { value, warnings } = await context.api().post('policies/import', body, importAnswer);
      for (const { path, message } of warnings) context.stderr.write(`warning ${path}: ${message}\n`);
      printList(context, IMPORTED, value, 'Nothing to import.');
    });
  policy
    .command('validate')
    .description('say what is wrong with policies, and which machines they would mean')
    .argument('<files...>', FILE)
    .action(async (files: string[]) => validate(context, around, files));
  policy
    .command('diff')
    .description('say what storing the policy of a file would change')
    .argument('<file>', FILE)
    .argument('[policy]', 'compare with this one (default: the id in the file)')
    .action(async (file: string, id?: string) => {
      const document = await readPolicy(file, around);
      const against = id ?? idIn(document);
      const body = { ...(document as object), id: against };
      const { exists, differences } = await context
        .api()
        .post(`${pathOf(against)}/diff`, body, policyDiffAnswer);
      if (!exists) context.stderr.write(`There is no policy ${against} yet.\n`);
      printList(context, DIFFERENCES, differences, 'No difference.');
    });
}

const exportAnswer = z.object({ policies: z.array(z.object({ id: z.string() }).loose()) });

async function validate(context: Context, around: RepoSurroundings, files: readonly string[]): Promise<void> {
  const found: (FindingAnswer & { policy: string })[] = [];
  for (const file of files) {
    for (const document of await readPolicies(file, around)) {
      const answer = await context.api().post('policies/validate', document, validationAnswer);
      const given = (document as { id?: unknown } | null)?.id;
      const policy = typeof given === 'string' ? given : file;
      found.push(...[...answer.errors, ...answer.warnings].map((one) => ({ ...one, policy })));
      context.stderr.write(`${policy}: ${effectText(answer)}\n`);
      if (!answer.valid) context.exitCode = EXIT.failed;
    }
  }
  printList(context, FINDINGS, found, 'Nothing is wrong.');
}

function effectText({ valid, machines }: ValidationAnswer): string {
  if (!machines) return 'not valid';
  const { owned, takes, ownedByOthers, excluded } = machines;
  const each = (counts: Readonly<Record<string, number>>, how: string) =>
    Object.entries(counts).map(([id, count]) => `${count} ${how} policy ${id}`);
  return [
    `${valid ? 'valid' : 'not valid'}, ${owned} machine${owned === 1 ? '' : 's'}`,
    ...each(takes, 'taken from'),
    ...each(ownedByOthers, 'in scope stay with'),
    ...(excluded === 0 ? [] : [`${excluded} excluded`]),
  ].join('; ');
}

function running(policy: Command, context: Context): void {
  policy
    .command('start')
    .description('run a policy now, outside its schedule')
    .argument('<policy>', 'id of the policy')
    .option('--wait', 'follow the run to its end, and take its exit code')
    .action(async (id: string, options: { wait?: boolean }) => {
      const started = await context.api().post(`${pathOf(id)}/start`, {}, startedAnswer);
      await startedSession(context, started, options.wait ?? false);
    });
  policy
    .command('stop')
    .description('cancel the runs of a policy and the backups of their machines')
    .argument('<policy>', 'id of the policy')
    .action(async (id: string) => {
      const answer = z.object({ value: z.array(startedAnswer) });
      const { value } = await context.api().post(`${pathOf(id)}/stop`, {}, answer);
      const sessions = [{ name: 'SESSION', value: (row: { id: string }) => row.id }];
      printList(context, sessions, value, 'Nothing of it is running.');
    });
}
