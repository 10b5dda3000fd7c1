export { type Assumptions, assumptionsSchema } from './assumptions.ts';
export { DEFAULT_PRICES } from './defaultPrices.ts';
export {
  type BackupWay,
  type CostKind,
  type CostLine,
  estimateMachine,
  type MachineEstimate,
  type MachineFacts,
} from './estimateMachine.ts';
export { type Amounts, type PolicyEstimate, type PricedMachine, sumUp } from './estimatePolicy.ts';
export { measuredFacts } from './facts.ts';
export { changedAfter, DAYS_PER_MONTH } from './growth.ts';
export { type Kept, type Load, loadOf } from './load.ts';
export { type PriceTable, priceTableSchema } from './prices.ts';
