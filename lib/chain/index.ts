export {
  type BaseChoice,
  type BaseOptions,
  chooseBase,
  type PreviousRead,
  type SnapshotFacts,
} from './base.ts';
export {
  type Coverage,
  type CoverageFacts,
  type CoverageState,
  countCoverage,
  coverageOf,
} from './coverage.ts';
export {
  type CheckedPoint,
  type DamageReport,
  damageReport,
  missingPoints,
  type PointDamage,
} from './damage.ts';
export { type Decision, describeDecision } from './decision.ts';
export { describeFlagRules, describeRetention } from './describeRules.ts';
export { expiryIn } from './expiry.ts';
export { type PointDecision, planRetention, type RetentionPoint } from './pointRetention.ts';
export { type Rpo, rpoOf } from './rpo.ts';
export {
  type SimulatedDay,
  type SimulatedItem,
  type SimulatedRetention,
  type SimulationOptions,
  simulateRetention,
} from './simulate.ts';
export { type SimulationRow, simulationRows, simulationTable } from './simulationTable.ts';
export { planSnapshots, type RetainedSnapshot, type SnapshotDecision } from './snapshotRetention.ts';
