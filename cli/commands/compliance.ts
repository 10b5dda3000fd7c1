import type { Command } from 'commander';
import { type ComplianceAnswer, complianceAnswer } from '../answers.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import { type Column, formatList, formatOne, time } from '../output.ts';
import { count } from './options.ts';

const percent = (n: number): string => `${(Math.floor(n * 100) / 100).toString()} %`;

const WHOLE: readonly Column<ComplianceAnswer>[] = [
  { name: 'POLICY', value: ({ policyId }) => policyId },
  { name: 'FROM', value: ({ from }) => from, show: ({ from }) => time(from) },
  { name: 'UNTIL', value: ({ until }) => until, show: ({ until }) => time(until) },
  { name: 'COMPLIANCE', value: (answer) => answer.percent, show: (answer) => percent(answer.percent) },
  {
    name: 'THRESHOLD',
    value: ({ thresholdPercent }) => thresholdPercent,
    show: ({ thresholdPercent }) => percent(thresholdPercent),
  },
  { name: 'MET', value: ({ met }) => met, show: ({ met }) => (met ? 'yes' : 'no') },
];

type MachineRow = ComplianceAnswer['machines'][number];
const MACHINES: readonly Column<MachineRow>[] = [
  { name: 'MACHINE', value: ({ machineName }) => machineName },
  { name: 'REGION', value: ({ region }) => region },
  { name: 'EXPECTED', value: ({ expected }) => expected },
  { name: 'MET', value: ({ met }) => met },
  { name: 'ASSUMED', value: ({ assumed }) => assumed },
  { name: 'COMPLIANCE', value: (row) => row.percent, show: (row) => percent(row.percent) },
  {
    name: 'LAST MISSED',
    value: ({ misses }) => misses.at(-1) ?? null,
    show: ({ misses }) => time(misses.at(-1) ?? null),
  },
];

type DayRow = ComplianceAnswer['days'][number];
const DAYS: readonly Column<DayRow>[] = [
  { name: 'DAY FROM', value: ({ from }) => from, show: ({ from }) => time(from) },
  { name: 'COMPLIANCE', value: (row) => row.percent, show: (row) => percent(row.percent) },
  { name: 'MET', value: ({ met }) => met, show: ({ met }) => (met ? 'yes' : 'no') },
];

/** `policy compliance`: below the threshold it says so with its exit code too. */
export function addCompliance(policy: Command, context: Context): void {
  policy
    .command('compliance')
    .description('how well a policy keeps its SLA, by machine and by day')
    .argument('<policy>', 'id of the policy')
    .option('--days <n>', 'the last so many days', count, 14)
    .action(async (id: string, { days }: { days: number }) => {
      const path = `policies/${encodeURIComponent(id)}/compliance`;
      const answer = await context.api().get(path, complianceAnswer, { days: String(days) });
      if (!answer.met) context.exitCode = EXIT.partly;
      context.stdout.write(formatOne(context.format, WHOLE, answer, context.color));
      if (context.format !== 'table') return;
      context.stdout.write(`\n${formatList('table', MACHINES, answer.machines, context.color)}`);
      context.stdout.write(`\n${formatList('table', DAYS, answer.days, context.color)}`);
    });
}
