import type { Command } from 'commander';
import { type OverviewAnswer, overviewAnswer } from '../answers.ts';
import { type Context, printOne } from '../context.ts';
import { bytes, type Column, duration, formatList, time } from '../output.ts';

type Row<K extends keyof OverviewAnswer> = OverviewAnswer[K] extends readonly (infer T)[] ? T : never;

const of = ({ byKind }: OverviewAnswer['sessions'], status: string): number =>
  Object.values(byKind).reduce((sum, counts) => sum + (counts?.[status] ?? 0), 0);

const SUMMARY: readonly Column<OverviewAnswer>[] = [
  { name: 'AT', value: ({ at }) => at, show: ({ at }) => time(at) },
  { name: 'PROTECTED', value: ({ coverage }) => coverage.protected },
  { name: 'LATE', value: ({ coverage }) => coverage.late },
  { name: 'WAITING', value: ({ coverage }) => coverage.waiting },
  { name: 'IN NO POLICY', value: ({ coverage }) => coverage.none },
  { name: 'RUNNING', value: ({ sessions }) => sessions.running },
  { name: 'SUCCEEDED (24 H)', value: ({ sessions }) => of(sessions, 'succeeded') },
  { name: 'WARNING (24 H)', value: ({ sessions }) => of(sessions, 'warning') },
  { name: 'FAILED (24 H)', value: ({ sessions }) => of(sessions, 'failed') },
];

const ATTENTION: readonly Column<Row<'attention'>>[] = [
  { name: 'MACHINE', value: ({ machineName }) => machineName },
  { name: 'STATE', value: ({ state }) => state },
  { name: 'POLICY', value: ({ policyId }) => policyId },
  {
    name: 'NEWEST POINT',
    value: ({ rpoSeconds }) => rpoSeconds,
    show: ({ rpoSeconds }) => (rpoSeconds === null ? 'none' : `${duration(rpoSeconds * 1000)} ago`),
  },
  { name: 'WHY', value: ({ why }) => why },
];

type Failed = OverviewAnswer['sessions']['failed'][number];
const FAILED: readonly Column<Failed>[] = [
  { name: 'SESSION', value: ({ id }) => id },
  { name: 'KIND', value: ({ kind }) => kind },
  { name: 'MACHINE', value: ({ machineName, policyId }) => machineName ?? policyId },
  { name: 'ENDED', value: ({ endedAt }) => endedAt, show: ({ endedAt }) => time(endedAt) },
  { name: 'ERROR', value: ({ error }) => error && `${error.code}: ${error.message}` },
];

const BOTTLENECKS: readonly Column<Row<'bottlenecks'>>[] = [
  { name: 'WAITED FOR', value: ({ wait }) => wait },
  { name: 'TIME', value: ({ seconds }) => seconds, show: ({ seconds }) => duration(seconds * 1000) },
  { name: 'SESSIONS', value: ({ sessions }) => sessions },
  {
    name: 'LONGEST',
    value: ({ longest }) => longest.seconds,
    show: ({ longest }) => `${duration(longest.seconds * 1000)} in ${longest.sessionId}`,
  },
];

const POLICIES: readonly Column<Row<'policies'>>[] = [
  { name: 'POLICY', value: ({ policyId }) => policyId },
  { name: 'RUNS', value: ({ runs }) => runs },
  { name: 'LAST', value: ({ lastSeconds }) => lastSeconds, show: (row) => duration(row.lastSeconds * 1000) },
  {
    name: 'BEFORE',
    value: ({ usualSeconds }) => usualSeconds,
    show: ({ usualSeconds }) => (usualSeconds === null ? '-' : duration(usualSeconds * 1000)),
  },
];

const REPOSITORIES: readonly Column<Row<'repositories'>>[] = [
  { name: 'REPOSITORY', value: ({ repository }) => repository },
  { name: 'MACHINES', value: ({ machines }) => machines },
  { name: 'RESTORE POINTS', value: ({ restorePoints }) => restorePoints },
  { name: 'DAMAGED', value: ({ damaged }) => damaged },
  { name: 'STORED', value: ({ storedBytes }) => storedBytes, show: (row) => bytes(row.storedBytes) },
  {
    name: 'PROTECTED',
    value: ({ protectedBytes }) => protectedBytes,
    show: (row) => bytes(row.protectedBytes),
  },
];

const UPCOMING: readonly Column<Row<'upcoming'>>[] = [
  { name: 'NEXT', value: ({ at }) => at, show: ({ at }) => time(at) },
  { name: 'POLICY', value: ({ policyId }) => policyId },
  { name: 'REGION', value: ({ region }) => region },
  { name: 'MAKES', value: ({ makes }) => makes },
  { name: 'FLAGS', value: ({ flags }) => flags.join(',') },
];

export function overviewCommand(parent: Command, context: Context): void {
  parent
    .command('overview')
    .description('how the installation is: coverage, sessions, bottlenecks, storage, what comes next')
    .action(async () => {
      const overview = await context.api().get('overview', overviewAnswer);
      printOne(context, SUMMARY, overview);
      if (context.format !== 'table') return;
      const part = <T>(columns: readonly Column<T>[], rows: readonly T[]) => {
        if (rows.length > 0) context.stdout.write(`\n${formatList('table', columns, rows, context.color)}`);
      };
      part(ATTENTION, overview.attention);
      part(FAILED, overview.sessions.failed);
      part(BOTTLENECKS, overview.bottlenecks);
      part(POLICIES, overview.policies);
      part(REPOSITORIES, overview.repositories);
      part(UPCOMING, overview.upcoming);
      for (const trouble of overview.troubles) context.stderr.write(`${trouble}\n`);
    });
}
