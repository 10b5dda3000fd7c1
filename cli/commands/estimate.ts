import { type Command, InvalidArgumentError } from 'commander';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { type PriceTable, priceTableSchema } from '../../lib/cost/index.ts';
import { HoldfastError } from '../../lib/model/index.ts';
import { type EstimateAnswer, estimateAnswer } from '../answers.ts';
import type { Context } from '../context.ts';
import { bytes, type Column, formatList, formatOne } from '../output.ts';
import type { RepoSurroundings } from '../repo/surroundings.ts';
import { count } from './options.ts';
import { readPolicy, textOf } from './policyFiles.ts';

type MachineRow = EstimateAnswer['machines'][number] & { readonly currency: string };
type LineRow = EstimateAnswer['machines'][number]['lines'][number] & { readonly machine: string };

/** To a hundredth of a cent: small amounts add up. */
const money = (amount: number): number => Math.round(amount * 1e4) / 1e4;
const cents = (amount: number): string => amount.toFixed(2);

const amount = <T>(name: string, of: (row: T) => number): Column<T> => ({
  name,
  value: (row) => money(of(row)),
  show: (row) => cents(of(row)),
});

const MACHINES: readonly Column<MachineRow>[] = [
  { name: 'MACHINE', value: ({ machine }) => machine },
  { name: 'REGION', value: ({ region }) => region },
  {
    name: 'USED',
    value: ({ usedBytes }) => Math.round(usedBytes),
    show: ({ usedBytes }) => bytes(usedBytes),
  },
  amount('SNAPSHOTS', ({ monthly }) => monthly.snapshots),
  amount('REPOSITORY', ({ monthly }) => monthly.repository),
  amount('TRAFFIC', ({ monthly }) => monthly.traffic),
  amount('TRANSACTIONS', ({ monthly }) => monthly.transactions),
  amount('WORKERS', ({ monthly }) => monthly.workers),
  amount('A MONTH', ({ monthly }) => monthly.total),
  amount('ONCE', ({ once }) => once.total),
  { name: 'CURRENCY', value: ({ currency }) => currency },
  { name: 'BASIS', value: ({ basis }) => basis },
];

const LINES: readonly Column<LineRow>[] = [
  { name: 'MACHINE', value: ({ machine }) => machine },
  { name: 'KIND', value: ({ kind }) => kind },
  { name: 'PERIOD', value: ({ period }) => period },
  { name: 'WHAT', value: ({ what }) => what },
  { name: 'REPOSITORY', value: ({ repository }) => repository },
  { name: 'QUANTITY', value: ({ quantity }) => money(quantity) },
  { name: 'UNIT', value: ({ unit }) => unit },
  { name: 'UNIT PRICE', value: ({ unitPrice }) => unitPrice },
  { name: 'AMOUNT', value: (row) => money(row.amount) },
];

interface EstimateOptions {
  file?: string;
  machine?: string;
  prices?: string;
  assume?: Readonly<Record<string, unknown>>;
  months?: number;
  lines?: boolean;
}

/** `policy estimate`: what a policy costs a month, by machine. */
export function addEstimate(policy: Command, context: Context, around: RepoSurroundings): void {
  policy
    .command('estimate')
    .description('what a policy would cost a month, by machine; an estimate')
    .argument('<policy>', 'id of the policy')
    .option('--file <file>', 'the policy as this file has it (JSON or YAML; - for standard input)')
    .option('--machine <machine>', 'only this machine: its name, ARM id or vmId')
    .option('--prices <file>', 'another price table, for this estimate')
    .option('--months <n>', 'as it is after so many months (default: 12)', count)
    .option('--assume <what=value>', 'where nothing was measured: dailyChangePercent=5', assumed)
    .option('--lines', 'what each amount is made of')
    .addHelpText(
      'after',
      '\nExamples: holdfast policy estimate nightly\n          holdfast policy estimate nightly --assume usedPercent=40 --lines -o csv\n',
    )
    .action(async (id: string, options: EstimateOptions) => {
      const { file, machine, prices, assume = {}, months, lines = false } = options;
      const body = {
        assumptions: { ...assume, ...(months === undefined ? {} : { months }) },
        ...(machine === undefined ? {} : { machine }),
        ...(prices === undefined ? {} : { prices: await readPrices(prices, around) }),
        ...(file === undefined ? {} : { policy: await readPolicy(file, around) }),
      };
      const path = `policies/${encodeURIComponent(id)}/estimate`;
      print(context, await context.api().post(path, body, estimateAnswer), lines);
    });
}

function print(context: Context, answer: EstimateAnswer, asLines: boolean): void {
  const { format, color, stdout, stderr } = context;
  const { currency, prices, machines, monthly, once, warnings } = answer;
  for (const warning of warnings) stderr.write(`warning: ${warning}\n`);
  if (format === 'json') {
    stdout.write(formatOne('json', [], answer, color));
    return;
  }
  if (asLines) {
    const lines = machines.flatMap((one) => one.lines.map((line) => ({ ...line, machine: one.machine })));
    stdout.write(formatList(format, LINES, lines, color));
    return;
  }
  const rows: MachineRow[] = machines.map((one) => ({ ...one, currency }));
  stdout.write(formatList(format, MACHINES, rows, color));
  if (format !== 'table') return;
  stdout.write(`\nTogether ${cents(monthly.total)} ${currency} a month, and ${cents(once.total)} once.\n`);
  stderr.write(`Prices: ${prices.name}, ${prices.asOf}. ${prices.note}\n`);
}

function assumed(
  text: string,
  before: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const [, name = '', value = ''] = /^(\w+)=(.+)$/.exec(text) ?? [];
  if (name === '') throw new InvalidArgumentError('Expected what=value, as in dailyChangePercent=5.');
  const number = Number(value);
  return { ...before, [name]: Number.isNaN(number) ? value : number };
}

async function readPrices(file: string, around: RepoSurroundings): Promise<PriceTable> {
  const parsed = priceTableSchema.safeParse(parse(await textOf(file, around)));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HoldfastError(
    'invalidInput',
    `${file} is no price table: ${issue?.path.join('.')}: ${issue?.message}.`,
    { target: file },
  );
}

/** `prices`: the table that estimates are made with. */
export function pricesCommand(parent: Command, context: Context, around: RepoSurroundings): void {
  const prices = parent.command('prices').description('the prices that estimates are made with');
  const show = (table: PriceTable): void => {
    const text = context.format === 'json' ? `${JSON.stringify(table, null, 2)}\n` : stringify(table);
    context.stdout.write(text);
  };
  prices
    .command('show')
    .description('the table in force, as YAML (or -o json), to be edited and set')
    .action(async () => show(await context.api().get('prices', priceTableSchema)));
  prices
    .command('set')
    .description('put another table in its place')
    .argument('<file>', 'JSON or YAML; - for standard input')
    .action(async (file: string) =>
      show(await context.api().put('prices', await readPrices(file, around), priceTableSchema)),
    );
  prices
    .command('reset')
    .description('back to the table that is shipped')
    .action(async () => {
      await context.api().delete('prices', z.unknown());
      context.stderr.write('Estimates are made with the shipped table again.\n');
    });
}
