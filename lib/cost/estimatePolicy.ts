import type { Assumptions } from './assumptions.ts';
import { COST_KINDS, type CostKind, type CostLine, type MachineEstimate } from './estimateMachine.ts';
import type { PriceTable } from './prices.ts';

export type Amounts = Readonly<Record<CostKind, number>> & { readonly total: number };

export interface PricedMachine extends MachineEstimate {
  readonly monthly: Amounts;
  readonly once: Amounts;
}

/** What a policy costs: amounts in the currency of the price table. */
export interface PolicyEstimate {
  readonly currency: string;
  readonly prices: Pick<PriceTable, 'name' | 'asOf' | 'note'>;
  readonly assumptions: Assumptions;
  readonly machines: readonly PricedMachine[];
  /** Each month, after `assumptions.months`. */
  readonly monthly: Amounts;
  /** For the first full backups. */
  readonly once: Amounts;
  readonly warnings: readonly string[];
}

/** Sums up what each machine costs. A warning that several machines share is told once. */
export function sumUp(
  machines: readonly MachineEstimate[],
  {
    prices,
    assumptions,
    warnings = [],
  }: {
    readonly prices: PriceTable;
    readonly assumptions: Assumptions;
    readonly warnings?: readonly string[];
  },
): PolicyEstimate {
  const priced = machines.map((machine) => ({
    ...machine,
    monthly: amountsOf(machine.lines, 'month'),
    once: amountsOf(machine.lines, 'once'),
  }));
  const lines = machines.flatMap((machine) => machine.lines);
  const { currency, name, asOf, note } = prices;
  return {
    currency,
    prices: { name, asOf, note },
    assumptions,
    machines: priced,
    monthly: amountsOf(lines, 'month'),
    once: amountsOf(lines, 'once'),
    warnings: [...new Set([...warnings, ...machines.flatMap((machine) => machine.warnings)])],
  };
}

function amountsOf(lines: readonly CostLine[], period: CostLine['period']): Amounts {
  const sum = (kind: CostKind | null): number =>
    lines
      .filter((line) => line.period === period && (kind === null || line.kind === kind))
      .reduce((total, { amount }) => total + amount, 0);
  const amounts = Object.fromEntries(COST_KINDS.map((kind) => [kind, sum(kind)])) as Record<CostKind, number>;
  return { ...amounts, total: sum(null) };
}
