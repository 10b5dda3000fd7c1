import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { parse } from 'yaml';
import {
  type SimulationRow,
  simulateRetention,
  simulationRows,
  simulationTable,
} from '../../lib/chain/index.ts';
import { HoldfastError, type Policy, policySchema, REGION_ZONE } from '../../lib/model/index.ts';
import { inRegion, slaCalendar, wallClock, zoneOf } from '../../lib/schedule/index.ts';
import { policyAnswer, type RetentionAnswer, retentionAnswer, startedAnswer } from '../answers.ts';
import { type Context, printList } from '../context.ts';
import { type Column, formatList, time } from '../output.ts';
import { count } from './options.ts';
import { startedSession } from './session.ts';

const PLAN: readonly Column<RetentionAnswer>[] = [
  { name: 'WHAT', value: ({ what }) => (what === 'restorePoint' ? 'restore point' : what) },
  {
    name: 'NAME',
    value: ({ name }) => name,
    show: ({ name }) => (name.includes('/providers/') ? name.replace(/^.*\//, '') : name),
  },
  { name: 'TAKEN', value: ({ takenAt }) => takenAt, show: ({ takenAt }) => time(takenAt) },
  { name: 'FLAGS', value: ({ flags }) => flags || null },
  { name: 'STAYS', value: ({ keep }) => keep, show: ({ keep }) => (keep ? 'yes' : 'no') },
  { name: 'UNTIL', value: ({ until }) => until, show: ({ until }) => time(until) },
  { name: 'WHY', value: ({ why }) => why },
];

const SIMULATION: readonly Column<SimulationRow>[] = [
  { name: 'DAY', value: ({ day }) => day },
  { name: 'CHANGE', value: ({ change }) => change },
  { name: 'WHAT', value: ({ kind }) => kind },
  { name: 'TAKEN', value: ({ takenAt }) => takenAt },
  { name: 'FLAGS', value: ({ flags }) => flags },
  { name: 'WHY', value: ({ why }) => why },
];

interface SimulateOptions {
  policy: string;
  from?: string;
  days: number;
  endsAfter?: number;
  region?: string;
  all?: boolean;
}

/** What stays, what goes, and why: now, and as a policy would have it. */
export function retentionCommand(parent: Command, context: Context): void {
  const retention = parent.command('retention').description('what is kept, what goes, and why');
  retention
    .command('plan')
    .description('what stays of a machine now, and why; changes nothing')
    .argument('<machine>', 'its name, ARM id or vmId')
    .action(async (machine: string) => {
      const path = `machines/${encodeURIComponent(machine)}/retention`;
      const decisions = await context.api().list(path, retentionAnswer);
      printList(context, PLAN, decisions, 'The machine has no restore points and no snapshots.');
    });
  retention
    .command('run')
    .description('remove what no rule keeps, now')
    .argument('[machine]', 'only of this machine')
    .option('--wait', 'follow the session to its end, and take its exit code')
    .action(async (machine: string | undefined, { wait = false }: { wait?: boolean }) => {
      const started = await context.api().post('retention', { machine: machine ?? null }, startedAnswer);
      await startedSession(context, started, wait);
    });
  retention
    .command('simulate')
    .description('what a policy keeps on each day, if every run succeeds; with a file it needs no service')
    .requiredOption('--policy <policy>', 'a file (JSON or YAML), or the id of a policy')
    .option('--from <date>', 'first day (default: today)', dateOf)
    .option('--days <n>', 'how many days', count, 30)
    .option(
      '--ends-after <n>',
      'the policy is deleted after so many days; each point goes by its own rules',
      count,
    )
    .option('--region <region>', "where the machine is, for a policy in the time of its machines' regions")
    .option('--all', 'each day in full, not only what changes')
    .addHelpText(
      'after',
      '\nExample: holdfast retention simulate --policy nightly.yaml --from 2026-03-01 --days 60\n',
    )
    .action(async (options: SimulateOptions) => {
      const policy = await readPolicy(context, options.policy);
      const { rows, summary } = simulate(policy, options, context.clock.now());
      if (context.format === 'table') context.stdout.write(`${simulationTable(rows)}\n`);
      else context.stdout.write(formatList(context.format, SIMULATION, rows, context.color));
      context.stderr.write(`${summary}\n`);
    });
}

function simulate(
  policy: Policy,
  { from: first, days, endsAfter, region, all = false }: SimulateOptions,
  now: Date,
): { rows: SimulationRow[]; summary: string } {
  const written = policy.calendar ?? (policy.sla && slaCalendar(policy.sla));
  if (!written) {
    throw new HoldfastError('invalidInput', `Policy ${policy.id} has no schedule to simulate.`, {
      target: 'calendar',
    });
  }
  if (written.timeZone === REGION_ZONE && region === undefined) {
    throw new HoldfastError(
      'invalidInput',
      `Policy ${policy.id} runs in the time of each machine's region; say which, as in --region westeurope.`,
      { target: 'region' },
    );
  }
  const calendar = region === undefined ? written : inRegion(written, region);
  const zone = zoneOf(calendar);
  const clock = wallClock(zone);
  const day = first === undefined ? clock.at(now).day : Date.parse(`${first}T00:00:00Z`) / 86_400_000;
  const at = (offset: number): Date => new Date(clock.instantOf(day + offset, 0));
  const { keep } = policy.snapshots.retention;
  const snapshots = Object.keys(keep).length === 0 ? null : policy.snapshots.retention;
  const made = [
    ...simulateRetention(
      calendar,
      { backups: policy.retention, snapshots },
      at(0),
      at(days),
      endsAfter === undefined ? {} : { policyEndsAt: at(endsAfter) },
    ),
  ];
  const last = made.at(-1);
  const there = (kind: 'restorePoint' | 'snapshot') =>
    last?.stays.filter((item) => item.kind === kind).length ?? 0;
  return {
    rows: simulationRows(made, zone, all ? 'all' : 'changes'),
    summary:
      `At the end of ${last?.date}: ${there('restorePoint')} restore points and ${there('snapshot')} snapshot sets of each machine` +
      ` (times are of ${zone}).`,
  };
}

/** A file where there is one of that name, else a policy of the service. */
async function readPolicy(context: Context, name: string): Promise<Policy> {
  let text: string;
  try {
    text = await readFile(name, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || /[./\\]/.test(name)) {
      throw new HoldfastError('notFound', `The file ${name} cannot be read.`, { target: name, cause: error });
    }
    return context.api().get(`policies/${encodeURIComponent(name)}`, policyAnswer);
  }
  const parsed = policySchema.safeParse(documentOf(name, text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HoldfastError('invalidInput', `${name}: ${issue?.path.join('.')}: ${issue?.message}.`, {
    target: issue?.path.join('.') ?? name,
  });
}

function documentOf(name: string, text: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new HoldfastError('invalidInput', `${name} is neither JSON nor YAML: ${why}`, {
      target: name,
      cause,
    });
  }
}

function dateOf(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError('Expected a date, as in 2026-03-01.');
}
